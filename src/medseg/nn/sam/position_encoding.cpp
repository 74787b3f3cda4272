#include "medseg/nn/sam/position_encoding.h"

#include <numbers>

namespace medseg {

RandomPositionEncodingImpl::RandomPositionEncodingImpl(std::int64_t channels, double scale) {
    frequencies = register_buffer("positional_encoding_gaussian_matrix", scale * torch::randn({2, channels / 2}));
}

torch::Tensor RandomPositionEncodingImpl::encode(const torch::Tensor& xy) const {
    const torch::Tensor angles = 2 * std::numbers::pi * torch::matmul(2 * xy - 1, frequencies);
    return torch::cat({torch::sin(angles), torch::cos(angles)}, -1);
}

torch::Tensor RandomPositionEncodingImpl::encodePixels(const torch::Tensor& xy, std::int64_t imageHeight,
                                                       std::int64_t imageWidth) const {
    const torch::Tensor size =
        torch::tensor({static_cast<float>(imageWidth), static_cast<float>(imageHeight)}).to(frequencies.options());
    return encode((xy.to(frequencies.options()) + 0.5) / size);
}

torch::Tensor RandomPositionEncodingImpl::grid(std::int64_t height, std::int64_t width) const {
    const torch::Tensor y = (torch::arange(height, frequencies.options()) + 0.5) / static_cast<double>(height);
    const torch::Tensor x = (torch::arange(width, frequencies.options()) + 0.5) / static_cast<double>(width);
    const torch::Tensor xy =
        torch::stack({x.unsqueeze(0).expand({height, width}), y.unsqueeze(1).expand({height, width})}, -1);
    return encode(xy).permute({2, 0, 1}).unsqueeze(0);
}

}  // namespace medseg
