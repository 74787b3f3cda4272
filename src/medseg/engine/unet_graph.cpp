#include "medseg/engine/unet_graph.h"

#include <cmath>

#include <fmt/format.h>

namespace medseg {
namespace {

class UNetGraphBuilder {
  public:
    UNetGraphBuilder(const NamedWeights& weights, double epsilon) : weights_(weights), epsilon_(epsilon) {}

    Graph build(int inChannels, int outChannels, const std::vector<int>& features, int bottleneck) {
        int x = graph_.addValue("input", inChannels, 0, false);
        std::vector<int> skips;
        for (std::size_t level = 0; level < features.size(); ++level) {
            skips.push_back(doubleConvolution(fmt::format("enc{}", level + 1), x, features[level]));
            x = graph_.addMaxPool(skips.back());
        }
        x = doubleConvolution("bottleneck", x, bottleneck);
        for (std::size_t level = features.size(); level-- > 0;) {
            const std::string name = fmt::format("up{}", level + 1);
            x = graph_.addConvolution(name, x, upsampling(name, channels(x), features[level]), false);
            x = graph_.addInterleave(fmt::format("cat{}", level + 1), x, skips[level]);
            x = doubleConvolution(fmt::format("dec{}", level + 1), x, features[level]);
        }
        ConvolutionWeights final{channels(x), outChannels, 1, weights_("final_conv.weight"),
                                 weights_("final_conv.bias")};
        graph_.addConvolution("final_conv", x, std::move(final), false);
        return std::move(graph_);
    }

  private:
    int channels(int value) const { return graph_.values[value].channels; }

    int doubleConvolution(const std::string& name, int x, int out) {
        for (const int index : {0, 3}) {
            const std::string convolution = fmt::format("{}.conv.{}", name, index);
            const std::string norm = fmt::format("{}.conv.{}", name, index + 1);
            x = graph_.addConvolution(convolution, x, folded(convolution, norm, channels(x), out), true);
        }
        return x;
    }

    /// conv, then (x - mean) / sqrt(variance + epsilon) * scale + shift, as one convolution.
    ConvolutionWeights folded(const std::string& convolution, const std::string& norm, int in, int out) const {
        ConvolutionWeights result{in, out, 3, weights_(convolution + ".weight"), weights_(convolution + ".bias")};
        const auto scale = weights_(norm + ".weight"), shift = weights_(norm + ".bias");
        const auto mean = weights_(norm + ".running_mean"), variance = weights_(norm + ".running_var");
        const std::size_t each = result.weight.size() / static_cast<std::size_t>(out);
        for (std::size_t o = 0; o < static_cast<std::size_t>(out); ++o) {
            const double factor = scale[o] / std::sqrt(static_cast<double>(variance[o]) + epsilon_);
            for (std::size_t i = 0; i < each; ++i)
                result.weight[o * each + i] = static_cast<float>(result.weight[o * each + i] * factor);
            result.bias[o] = static_cast<float>((result.bias[o] - mean[o]) * factor + shift[o]);
        }
        return result;
    }

    /// The transposed convolution's weights (in, out, 2, 2) as a 1x1 convolution to (dy, dx, out) channels.
    ConvolutionWeights upsampling(const std::string& name, int in, int out) const {
        const auto source = weights_(name + ".weight"), bias = weights_(name + ".bias");
        ConvolutionWeights result{in, 4 * out, 1, std::vector<float>(source.size()), {}};
        for (int i = 0; i < in; ++i)
            for (int o = 0; o < out; ++o)
                for (int corner = 0; corner < 4; ++corner)
                    result.weight[static_cast<std::size_t>(corner * out + o) * in + i] =
                        source[static_cast<std::size_t>(i * out + o) * 4 + corner];
        for (int corner = 0; corner < 4; ++corner) result.bias.insert(result.bias.end(), bias.begin(), bias.end());
        return result;
    }

    const NamedWeights& weights_;
    double epsilon_;
    Graph graph_;
};

}  // namespace

Graph unetGraph(int inChannels, int outChannels, const std::vector<int>& features, int bottleneck, double epsilon,
                const NamedWeights& weights) {
    return UNetGraphBuilder(weights, epsilon).build(inChannels, outChannels, features, bottleneck);
}

}  // namespace medseg
