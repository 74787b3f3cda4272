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

/// Copies blocks of `up` channels, plus `shift`, and the skip's channels into pixels of both.
template <typename Element>
void joinChannels(const Upsampling& sizes, const torch::Tensor& blocks, const torch::Tensor& bias,
                  const torch::Tensor& skip, const torch::Tensor& result) {
    const Element *block = blocks.data_ptr<Element>(), *other = skip.data_ptr<Element>();
    const float* shift = bias.data_ptr<float>();
    Element* out = result.data_ptr<Element>();
    at::parallel_for(0, result.size(0) * sizes.height, 1, [&](std::int64_t first, std::int64_t last) {
        sizes.forRows(first, last, [&](std::int64_t entry, std::int64_t pixel) {
            Element* target = out + pixel * sizes.channels();
            const Element* source = block + entry * sizes.up;
            for (std::int64_t c = 0; c < sizes.up; ++c)
                target[c] = static_cast<Element>(static_cast<float>(source[c]) + shift[c]);
            std::copy_n(other + pixel * sizes.skip, sizes.skip, target + sizes.up);
        });
    });
}

/// The other way: a gradient of pixels into those of the blocks and of the skip.
template <typename Element>
void splitChannels(const Upsampling& sizes, const torch::Tensor& gradient, const torch::Tensor& blocks,
                   const torch::Tensor& skipGradient) {
    const Element* in = gradient.data_ptr<Element>();
    Element *block = blocks.data_ptr<Element>(), *other = skipGradient.data_ptr<Element>();
    at::parallel_for(0, gradient.size(0) * sizes.height, 1, [&](std::int64_t first, std::int64_t last) {
        sizes.forRows(first, last, [&](std::int64_t entry, std::int64_t pixel) {
            const Element* source = in + pixel * sizes.channels();
            std::copy_n(source, sizes.up, block + entry * sizes.up);
            std::copy_n(source + sizes.up, sizes.skip, other + pixel * sizes.skip);
        });
    });
}

bool inBf16(const torch::Tensor& tensor) {
    return tensor.scalar_type() == torch::kBFloat16;
}

class UpsampleConcatenate : public torch::autograd::Function<UpsampleConcatenate> {
  public:
    static torch::Tensor forward(AutogradContext* context, const torch::Tensor& xAny, const torch::Tensor& weight,
                                 const torch::Tensor& bias, const torch::Tensor& skipAny) {
        const torch::Tensor x = xAny.contiguous(kChannelsLast), skip = skipAny.contiguous(kChannelsLast);
        const Upsampling sizes{x.size(2), x.size(3), weight.size(1), skip.size(1)};
        const torch::Tensor blocks = matrixProduct(pixelMatrix(x), blockMatrix(weight).to(x.scalar_type()));
        const torch::Tensor result =
            torch::empty({x.size(0), sizes.channels(), 2 * sizes.height, 2 * sizes.width}, x.options(), kChannelsLast);
        (inBf16(x) ? joinChannels<c10::BFloat16> : joinChannels<float>)(sizes, blocks, bias, skip, result);
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
        (inBf16(x) ? splitChannels<c10::BFloat16> : splitChannels<float>)(sizes, gradient, blocks, skipGradient);
        const torch::Tensor weightGradient = matrixProduct(pixelMatrix(x).t(), blocks)
                                                 .to(torch::kFloat)
                                                 .reshape({x.size(1), 2, 2, up})
                                                 .permute({0, 3, 1, 2})
                                                 .contiguous(weight.suggest_memory_format());
        const torch::Tensor biasGradient = blocks.view({-1, up}).sum(0, false, torch::kFloat);
        const torch::Tensor xGradient = matrixProduct(blocks, blockMatrix(weight).to(x.scalar_type()).t())
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
    const torch::Tensor pixels = pixelMatrix(x.to(torch::kFloat).contiguous(kChannelsLast));
    return linearProduct(pixels, weight.flatten(1), bias)
        .view({x.size(0), x.size(2), x.size(3), weight.size(0)})
        .permute({0, 3, 1, 2});
}

}  // namespace medseg
