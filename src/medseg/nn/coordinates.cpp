#include "medseg/nn/coordinates.h"

namespace medseg {

torch::Tensor appendCoordinates(const torch::Tensor& images, const std::vector<std::string>& axes,
                                const std::vector<float>& slicePositions) {
    if (axes.empty()) return images;
    const auto batch = images.size(0), height = images.size(2), width = images.size(3);
    std::vector<torch::Tensor> channels{images};
    for (const auto& axis : axes) {
        torch::Tensor channel;
        if (axis == "x") {
            channel = torch::linspace(-1, 1, width).view({1, 1, 1, width});
        } else if (axis == "y") {
            channel = torch::linspace(-1, 1, height).view({1, 1, height, 1});
        } else {
            channel = torch::tensor(slicePositions).view({batch, 1, 1, 1});
        }
        channels.push_back(channel.to(images.device()).expand({batch, 1, height, width}));
    }
    return torch::cat(channels, 1);
}

float slicePosition(std::int64_t slice, std::int64_t count) {
    return count > 1 ? static_cast<float>(2.0 * static_cast<double>(slice) / static_cast<double>(count - 1) - 1.0)
                     : 0.0f;
}

}  // namespace medseg
