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

torch::Tensor appendVolumeCoordinates(const torch::Tensor& images, const std::vector<std::string>& axes,
                                      const std::vector<VolumePart>& parts) {
    if (axes.empty()) return images;
    std::vector<torch::Tensor> channels{images};
    for (const auto& axis : axes) {
        const std::size_t index = axis == "x" ? 0 : axis == "y" ? 1 : 2;
        std::vector<std::int64_t> shape{1, 1, 1, 1};
        shape[3 - index] = images.size(4 - static_cast<std::int64_t>(index));
        std::vector<torch::Tensor> each;
        for (const VolumePart& part : parts) {
            std::vector<float> line;
            for (std::int64_t i = 0; i < shape[3 - index]; ++i)
                line.push_back(slicePosition(part.start[index] + i, part.volume[index]));
            each.push_back(torch::tensor(line).view(shape).expand({1, images.size(2), images.size(3), images.size(4)}));
        }
        channels.push_back(torch::stack(each).to(images.device()));
    }
    return torch::cat(channels, 1);
}

}  // namespace medseg
