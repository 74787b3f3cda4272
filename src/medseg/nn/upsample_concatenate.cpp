#include <ATen/Parallel.h>

#include "medseg/nn/fused_layers.h"
#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kChannelsLast = torch::MemoryFormat::ChannelsLast;

/// A channels-last tensor as a matrix: one row a pixel, one column a channel. No copy.
torch::Tensor pixelMatrix(const torch::Tensor& tensor) {
    return tensor.permute({0, 2, 3, 1}).reshape({-1, tensor.size(1)});
}

/// Sizes of an up-convolution with stride 2: each input pixel makes a 2x2 block of output pixels.
struct Upsampling {
    std::int64_t height, width;  ///< of the input
    std::int64_t up, skip;       ///< channels of the two parts of the output

    std::int64_t channels() const { return up + skip; }

    /// Calls body(block, pixel): the index of a block entry, counted as ((input pixel) * 4 + 2 dy + dx), and that of
    /// its output pixel, for every input row in [first, last).
    template <typename Body>
    void forRows(std::int64_t first, std::int64_t last, Body&& body) const {
        for (std::int64_t row = first; row < last; ++row)
            for (std::int64_t x = 0; x < width; ++x)
                for (std::int64_t corner = 0; corner < 4; ++corner)
                    body((row * width + x) * 4 + corner, (2 * row + corner / 2) * 2 * width + 2 * x + corner % 2);
    }
};

class UpsampleConcatenate : public torch::autograd::Function<UpsampleConcatenate> {
  public:
    static torch::Tensor forward(AutogradContext* context, const torch::Tensor& xAny, const torch::Tensor& weight,
                                 const torch::Tensor& bias, const torch::Tensor& skipAny) {
        const torch::Tensor x = xAny.contiguous(kChannelsLast), skip = skipAny.contiguous(kChannelsLast);
        const Upsampling sizes{x.size(2), x.size(3), weight.size(1), skip.size(1)};
        const torch::Tensor blocks = matrixProduct(pixelMatrix(x), blockMatrix(weight));
        const torch::Tensor result =
            torch::empty({x.size(0), sizes.channels(), 2 * sizes.height, 2 * sizes.width}, x.options(), kChannelsLast);
        const float *block = blocks.data_ptr<float>(), *shift = bias.data_ptr<float>(), *other = skip.data_ptr<float>();
        float* out = result.data_ptr<float>();
        at::parallel_for(0, x.size(0) * sizes.height, 1, [&](std::int64_t first, std::int64_t last) {
            sizes.forRows(first, last, [&](std::int64_t entry, std::int64_t pixel) {
                float* target = out + pixel * sizes.channels();
                const float* source = block + entry * sizes.up;
                for (std::int64_t c = 0; c < sizes.up; ++c) target[c] = source[c] + shift[c];
                std::copy_n(other + pixel * sizes.skip, sizes.skip, target + sizes.up);
            });
        });
        context->save_for_backward({x, weight});
        return result;
    }

    static variable_list backward(AutogradContext* context, const variable_list& outputGradients) {
        const auto saved = context->get_saved_variables();
        const torch::Tensor &x = saved[0], &weight = saved[1];
        const torch::Tensor gradient = outputGradients[0].contiguous(kChannelsLast);
        const std::int64_t up = weight.size(1);
        const Upsampling sizes{x.size(2), x.size(3), up, gradient.size(1) - up};
        const torch::Tensor blocks = torch::empty({x.size(0) * sizes.height * sizes.width, 4 * up}, x.options());
        const torch::Tensor skipGradient =
            torch::empty({x.size(0), sizes.skip, 2 * sizes.height, 2 * sizes.width}, x.options(), kChannelsLast);
        const float* in = gradient.data_ptr<float>();
        float *block = blocks.data_ptr<float>(), *other = skipGradient.data_ptr<float>();
        at::parallel_for(0, x.size(0) * sizes.height, 1, [&](std::int64_t first, std::int64_t last) {
            sizes.forRows(first, last, [&](std::int64_t entry, std::int64_t pixel) {
                const float* source = in + pixel * sizes.channels();
                std::copy_n(source, up, block + entry * up);
                std::copy_n(source + up, sizes.skip, other + pixel * sizes.skip);
            });
        });
        const torch::Tensor weightGradient = matrixProduct(pixelMatrix(x).t(), blocks)
                                                 .reshape({x.size(1), 2, 2, up})
                                                 .permute({0, 3, 1, 2})
                                                 .contiguous(weight.suggest_memory_format());
        const torch::Tensor biasGradient = blocks.view({-1, up}).sum(0);
        const torch::Tensor xGradient = matrixProduct(blocks, blockMatrix(weight).t())
                                            .reshape({x.size(0), sizes.height, sizes.width, x.size(1)})
                                            .permute({0, 3, 1, 2});
        return {xGradient, weightGradient, biasGradient, skipGradient};
    }

  private:
    /// (in, out, 2, 2) -> (in, 4 * out), the columns ordered (dy, dx, out).
    static torch::Tensor blockMatrix(const torch::Tensor& weight) {
        return weight.permute({0, 2, 3, 1}).reshape({weight.size(0), -1});
    }
};

}  // namespace

torch::Tensor upsampleAndConcatenate(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                                     const torch::Tensor& skip) {
    return UpsampleConcatenate::apply(x, weight, bias, skip);
}

torch::Tensor pointwiseConvolution(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
    const torch::Tensor pixels = pixelMatrix(x.contiguous(kChannelsLast));
    return linearProduct(pixels, weight.flatten(1), bias)
        .view({x.size(0), x.size(2), x.size(3), weight.size(0)})
        .permute({0, 3, 1, 2});
}

}  // namespace medseg
