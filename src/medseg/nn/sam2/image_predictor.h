// Masks for prompts on single images.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam2/sam2.h"

namespace medseg {

/// Pixel values 0..1 as the network wants them: per channel (x - mean) / deviation of ImageNet.
torch::Tensor normalizeColors(const torch::Tensor& images);

/// images: uint8 (batch, height, width, 3) or grey (batch, height, width). Scaled to 0..1, resized to side x side
/// without keeping the aspect ratio (bilinear, smoothed where it shrinks), normalised: (batch, 3, side, side).
torch::Tensor imagesToInput(const torch::Tensor& images, std::int64_t side);

/// Prompts in pixels of the image; sizes may be 0.
struct ImagePrompt {
    std::vector<std::array<float, 2>> points;  ///< x, y
    std::vector<int> labels;                   ///< 1 inside, 0 outside
    std::vector<std::array<float, 4>> boxes;   ///< x0, y0, x1, y1; several boxes are several objects
    torch::Tensor lowResolution;               ///< (1, 4 g, 4 g): logits of an earlier answer, or undefined
    bool multimask = true;
};

struct ImageAnswer {
    torch::Tensor logits;         ///< (objects, masks, height, width)
    torch::Tensor ious;           ///< (objects, masks)
    torch::Tensor lowResolution;  ///< (objects, masks, 4 g, 4 g), clamped to +-32: may be given back as a prompt
};

/// Keeps the embedding of one image for any number of prompts.
class Sam2ImagePredictor {
  public:
    explicit Sam2ImagePredictor(Sam2 model) : model_(std::move(model)) {}

    /// image: uint8 (height, width, 3) or (height, width).
    void setImage(const torch::Tensor& image);
    /// Throws UsageError without an image, without any prompt, or when points come with several boxes.
    ImageAnswer predict(const ImagePrompt& prompt);

  private:
    Sam2 model_;
    torch::Tensor embedding_;
    HighResolutionFeatures features_;
    std::int64_t height_ = 0;
    std::int64_t width_ = 0;
};

/// Limit of logits that are given back as prompts.
constexpr double kPromptLogitLimit = 32.0;

/// Points (objects, n, 2) and labels (objects, n) in network pixels from boxes and points in image pixels: box corners
/// first.
struct PointPrompt {
    torch::Tensor points;
    torch::Tensor labels;
};
PointPrompt pointPrompt(const std::vector<std::array<float, 4>>& boxes, const std::vector<std::array<float, 2>>& points,
                        const std::vector<int>& labels, std::int64_t height, std::int64_t width,
                        std::int64_t imageSize);

}  // namespace medseg
