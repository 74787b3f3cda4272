// Label maps read as targets, pixel by pixel.
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "medseg/nn/segmentation_loss.h"

namespace medseg {

/// Rows of one image are a unit of work, so sums are combined in the same order for any number of threads.
struct BatchLayout {
    std::int64_t batch, channels, height, width, layers;
    std::int64_t rows() const { return batch * height; }
    std::int64_t pixels() const { return batch * height * width; }

    /// Throws c10::Error when the shapes do not fit.
    static BatchLayout of(const torch::Tensor& logits, const torch::Tensor& labels) {
        TORCH_CHECK(logits.dim() == 4 && labels.dim() == 4 && labels.size(0) == logits.size(0) &&
                        labels.size(2) == logits.size(2) && labels.size(3) == logits.size(3),
                    "logits and labels differ in shape");
        return {logits.size(0), logits.size(1), logits.size(2), logits.size(3), labels.size(1)};
    }
};

inline std::int64_t labelAt(const std::uint8_t* labels, std::int64_t i) {
    return labels[i];
}
inline std::int64_t labelAt(const std::int16_t* labels, std::int64_t i) {
    return static_cast<std::uint16_t>(labels[i]);
}

/// Pixel -> its distinct targets as channel numbers; ids without a channel name nothing.
template <typename LabelType>
struct Targets {
    const LabelType* labels;
    BatchLayout layout;
    OutputKind output;
    int ignoreLabel = -1;

    /// Calls function(channel) for each structure of the pixel.
    template <typename Function>
    void forEach(std::int64_t image, std::int64_t pixelInImage, Function&& function) const {
        const std::int64_t plane = layout.height * layout.width;
        for (std::int64_t layer = 0; layer < layout.layers; ++layer) {
            const std::int64_t id = labelAt(labels, (image * layout.layers + layer) * plane + pixelInImage);
            const std::int64_t channel = output == OutputKind::Sigmoid ? id - 1 : id;
            if (channel < 0 || channel >= layout.channels) continue;
            if (layer > 0 && namedBefore(image, pixelInImage, layer, id)) continue;
            function(channel);
        }
    }

    bool ignored(std::int64_t image, std::int64_t pixelInImage) const {
        return ignoreLabel >= 0 && namedBefore(image, pixelInImage, layout.layers, ignoreLabel);
    }

  private:
    /// Whether one of the first `layers` layers has this id.
    bool namedBefore(std::int64_t image, std::int64_t pixel, std::int64_t layers, std::int64_t id) const {
        const std::int64_t plane = layout.height * layout.width;
        for (std::int64_t earlier = 0; earlier < layers; ++earlier)
            if (labelAt(labels, (image * layout.layers + earlier) * plane + pixel) == id) return true;
        return false;
    }
};

/// Calls function(targets) with the label type of the tensor, which must be contiguous and on the CPU.
template <typename Function>
auto withTargets(const torch::Tensor& labels, const BatchLayout& layout, OutputKind output, int ignoreLabel,
                 Function&& function) {
    if (labels.scalar_type() == torch::kUInt8)
        return function(Targets<std::uint8_t>{labels.data_ptr<std::uint8_t>(), layout, output, ignoreLabel});
    return function(Targets<std::int16_t>{labels.data_ptr<std::int16_t>(), layout, output, ignoreLabel});
}

}  // namespace medseg
