#include "medseg/nn/sam3d/volume_convolution.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <ATen/Parallel.h>

#include "medseg/nn/float_lanes.h"

namespace medseg {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kLanes = FloatLanes::kCount;
constexpr std::int64_t kMostChannels = 32;
constexpr int kOutputs = 4;  ///< output channels, and
constexpr int kBlocks = 4;   ///< registers along z, that are computed together
constexpr std::int64_t kPlanesAtOnce = 8;

/// A volume with one voxel of zeros around it; rows along z end in zeros up to whole registers.
struct Padded {
    std::int64_t channels, x, y, z;

    std::int64_t row() const { return (z + kLanes - 1) / kLanes * kLanes + 2; }
    std::int64_t plane() const { return (y + 2) * row(); }
    std::int64_t channel() const { return (x + 2) * plane(); }
    std::int64_t size() const { return channels * channel() + kBlocks * kLanes; }
};

/// (C, X, Y, Z) contiguous -> padded.
std::vector<float> padded(const float* source, const Padded& layout) {
    std::vector<float> target(static_cast<std::size_t>(layout.size()), 0.0F);
    for (std::int64_t c = 0; c < layout.channels; ++c)
        for (std::int64_t x = 0; x < layout.x; ++x)
            for (std::int64_t y = 0; y < layout.y; ++y, source += layout.z)
                std::memcpy(
                    target.data() + c * layout.channel() + (x + 1) * layout.plane() + (y + 1) * layout.row() + 1,
                    source, static_cast<std::size_t>(layout.z) * sizeof(float));
    return target;
}

/// Weights in the order in which rowBlock() reads them: (output group, C, 27, kOutputs); missing outputs are zero.
std::vector<float> packed(const torch::Tensor& weight) {
    const std::int64_t outputs = weight.size(0), inputs = weight.size(1);
    const std::int64_t groups = (outputs + kOutputs - 1) / kOutputs;
    std::vector<float> target(static_cast<std::size_t>(groups * inputs * 27 * kOutputs), 0.0F);
    const float* source = weight.data_ptr<float>();
    for (std::int64_t o = 0; o < outputs; ++o)
        for (std::int64_t c = 0; c < inputs; ++c)
            for (std::int64_t tap = 0; tap < 27; ++tap)
                target[static_cast<std::size_t>(((o / kOutputs * inputs + c) * 27 + tap) * kOutputs + o % kOutputs)] =
                    source[(o * inputs + c) * 27 + tap];
    return target;
}

/// `Blocks` registers along z of kOutputs channels. source: the row's first voxel, less one in x, y and z.
template <int Blocks>
void rowBlock(const float* source, const Padded& layout, const float* weights, const float* bias,
              float (&result)[kOutputs][kBlocks * kLanes]) {
    FloatLanes sum[kOutputs][Blocks];
    for (int o = 0; o < kOutputs; ++o)
        for (int b = 0; b < Blocks; ++b) sum[o][b] = FloatLanes::of(bias[o]);
    for (std::int64_t c = 0; c < layout.channels; ++c, source += layout.channel())
        for (std::int64_t dx = 0; dx < 3; ++dx)
            for (std::int64_t dy = 0; dy < 3; ++dy) {
                const float* row = source + dx * layout.plane() + dy * layout.row();
#pragma GCC unroll 3
                for (int dz = 0; dz < 3; ++dz, weights += kOutputs) {
                    FloatLanes value[Blocks];
#pragma GCC unroll 4
                    for (int b = 0; b < Blocks; ++b) value[b] = FloatLanes::load(row + dz + b * kLanes);
#pragma GCC unroll 4
                    for (int o = 0; o < kOutputs; ++o) {
                        const FloatLanes w = FloatLanes::of(weights[o]);
#pragma GCC unroll 4
                        for (int b = 0; b < Blocks; ++b) sum[o][b] = FloatLanes::fma(value[b], w, sum[o][b]);
                    }
                }
            }
    for (int o = 0; o < kOutputs; ++o)
        for (int b = 0; b < Blocks; ++b) sum[o][b].store(result[o] + b * kLanes);
}

/// The convolution of one padded volume.
void convolve(const std::vector<float>& source, const Padded& layout, const std::vector<float>& weights,
              const std::vector<float>& bias, std::int64_t outputs, float* target) {
    const std::int64_t groupSize = layout.channels * 27 * kOutputs;
    at::parallel_for(0, layout.x, 1, [&](std::int64_t first, std::int64_t last) {
        float result[kOutputs][kBlocks * kLanes];
        for (std::int64_t x = first; x < last; ++x)
            for (std::int64_t o = 0; o < outputs; o += kOutputs)
                for (std::int64_t y = 0; y < layout.y; ++y)
                    for (std::int64_t z = 0; z < layout.z; z += kBlocks * kLanes) {
                        const float* corner = source.data() + x * layout.plane() + y * layout.row() + z;
                        const float* own = weights.data() + o / kOutputs * groupSize;
                        const std::int64_t left = layout.z - z;
                        if (left > 2 * kLanes)
                            rowBlock<kBlocks>(corner, layout, own, bias.data() + o, result);
                        else if (left > kLanes)
                            rowBlock<2>(corner, layout, own, bias.data() + o, result);
                        else
                            rowBlock<1>(corner, layout, own, bias.data() + o, result);
                        const std::int64_t count = std::min(left, kBlocks * kLanes);
                        for (std::int64_t i = 0; i < std::min<std::int64_t>(kOutputs, outputs - o); ++i)
                            std::copy_n(result[i], count,
                                        target + (((o + i) * layout.x + x) * layout.y + y) * layout.z + z);
                    }
    });
}

/// Adds to gradient[o][tap dz] the products of planes [first, last) of output channel group `o` and input channel `c`
/// for one (dx, dy).
void addWeightGradient(const float* in, const Padded& inLayout, const float* out, const Padded& outLayout,
                       std::int64_t first, std::int64_t last, int outputs, float (&gradient)[kOutputs][3]) {
    FloatLanes sum[kOutputs][3];
    for (auto& taps : sum)
        for (FloatLanes& tap : taps) tap = FloatLanes::of(0);
    for (std::int64_t x = first; x < last; ++x)
        for (std::int64_t y = 0; y < outLayout.y; ++y) {
            const float* inRow = in + x * inLayout.plane() + y * inLayout.row();
            const float* outRow = out + (x + 1) * outLayout.plane() + (y + 1) * outLayout.row() + 1;
            // Beyond its end the row of the output's gradient is zero.
            for (std::int64_t z = 0; z < outLayout.z; z += kLanes) {
                FloatLanes value[3];
#pragma GCC unroll 3
                for (int dz = 0; dz < 3; ++dz) value[dz] = FloatLanes::load(inRow + z + dz);
#pragma GCC unroll 4
                for (int o = 0; o < kOutputs; ++o) {
                    // Groups that are not full repeat their last channel.
                    const FloatLanes g = FloatLanes::load(outRow + z + std::min(o, outputs - 1) * outLayout.channel());
#pragma GCC unroll 3
                    for (int dz = 0; dz < 3; ++dz) sum[o][dz] = FloatLanes::fma(value[dz], g, sum[o][dz]);
                }
            }
        }
    for (int o = 0; o < kOutputs; ++o)
        for (int dz = 0; dz < 3; ++dz) gradient[o][dz] = sum[o][dz].sum();
}

/// Gradient of the weights, (O, C, 27), from one volume. The order of sums does not depend on the number of threads.
void weightGradient(const std::vector<float>& in, const Padded& inLayout, const std::vector<float>& out,
                    const Padded& outLayout, double* target) {
    const std::int64_t inputs = inLayout.channels, outputs = outLayout.channels;
    const std::int64_t groups = (outputs + kOutputs - 1) / kOutputs;
    at::parallel_for(0, groups * inputs, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t task = begin; task < end; ++task) {
            const std::int64_t o = task / inputs * kOutputs, c = task % inputs;
            const int count = static_cast<int>(std::min<std::int64_t>(kOutputs, outputs - o));
            const float* outStart = out.data() + o * outLayout.channel();
            for (std::int64_t x = 0; x < outLayout.x; x += kPlanesAtOnce)
                for (std::int64_t dx = 0; dx < 3; ++dx)
                    for (std::int64_t dy = 0; dy < 3; ++dy) {
                        float part[kOutputs][3];
                        addWeightGradient(
                            in.data() + c * inLayout.channel() + dx * inLayout.plane() + dy * inLayout.row(), inLayout,
                            outStart, outLayout, x, std::min(x + kPlanesAtOnce, outLayout.x), count, part);
                        for (std::int64_t i = 0; i < count; ++i)
                            for (std::int64_t dz = 0; dz < 3; ++dz)
                                target[((o + i) * inputs + c) * 27 + (dx * 3 + dy) * 3 + dz] += part[i][dz];
                    }
        }
    });
}

std::vector<float> biasOf(const torch::Tensor& bias) {
    std::vector<float> values(bias.data_ptr<float>(), bias.data_ptr<float>() + bias.numel());
    values.resize((values.size() + kOutputs - 1) / kOutputs * kOutputs, 0.0F);
    return values;
}

Padded layoutOf(const torch::Tensor& x) {
    return {x.size(1), x.size(2), x.size(3), x.size(4)};
}

class FewChannels : public torch::autograd::Function<FewChannels> {
  public:
    static torch::Tensor forward(AutogradContext* context, const torch::Tensor& xAny, const torch::Tensor& weightAny,
                                 const torch::Tensor& bias) {
        const torch::Tensor x = xAny.contiguous(), weight = weightAny.contiguous();
        context->save_for_backward({x, weight});
        return run(x, weight, biasOf(bias.contiguous()));
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const auto saved = context->get_saved_variables();
        const torch::Tensor &x = saved[0], &weight = saved[1];
        const torch::Tensor gradient = gradients[0].contiguous();
        torch::Tensor xGradient;
        if (context->needs_input_grad(0)) {
            // The same convolution with the taps mirrored and inputs and outputs exchanged.
            const torch::Tensor mirrored = weight.flip({2, 3, 4}).transpose(0, 1).contiguous();
            xGradient = run(gradient, mirrored, std::vector<float>(kMostChannels + kOutputs, 0.0F));
        }
        // Frozen layers pass the gradient on and need none of their own.
        torch::Tensor weightSums, biasGradient;
        if (context->needs_input_grad(1)) {
            weightSums = torch::zeros(weight.sizes(), torch::kDouble);
            const Padded in = layoutOf(x), out = layoutOf(gradient);
            for (std::int64_t n = 0; n < x.size(0); ++n)
                weightGradient(padded(x[n].data_ptr<float>(), in), in, padded(gradient[n].data_ptr<float>(), out), out,
                               weightSums.data_ptr<double>());
            weightSums = weightSums.to(torch::kFloat);
        }
        if (context->needs_input_grad(2)) biasGradient = gradient.sum({0, 2, 3, 4});
        return {xGradient, weightSums, biasGradient};
    }

  private:
    static torch::Tensor run(const torch::Tensor& x, const torch::Tensor& weight, const std::vector<float>& bias) {
        const Padded layout = layoutOf(x);
        const std::int64_t outputs = weight.size(0);
        torch::Tensor result = torch::empty({x.size(0), outputs, layout.x, layout.y, layout.z}, x.options());
        const std::vector<float> weights = packed(weight);
        for (std::int64_t n = 0; n < x.size(0); ++n)
            convolve(padded(x[n].data_ptr<float>(), layout), layout, weights, bias, outputs,
                     result[n].data_ptr<float>());
        return result;
    }
};

}  // namespace

torch::Tensor volumeConvolution(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
    const bool few = weight.size(0) <= kMostChannels && weight.size(1) <= kMostChannels;
    if (!few || !x.device().is_cpu() || x.scalar_type() != torch::kFloat || x.dim() != 5 ||
        weight.sizes().slice(2) != torch::IntArrayRef({3, 3, 3}))
        return torch::conv3d(x, weight, bias, 1, 1);
    return FewChannels::apply(x, weight, bias);
}

}  // namespace medseg
