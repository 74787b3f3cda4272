// What lies between pictures and the networks of the SAM family: preparation of images and prompts, and masks at the
// picture's own size, each as the official predictors do it.
#pragma once

#include <cstdint>
#include <string>

#include <torch/torch.h>

#include "medseg/io/png.h"

namespace medseg {

/// How images are prepared and masks restored.
enum class SamStyle {
    Sam,        ///< SAM, MobileSAM: longest side to the input size, mean and standard deviation, zeros right and below
    Medsam,     ///< MedSAM: squashed to the input size, 0..1; probabilities are interpolated
    LiteMedsam  ///< LiteMedSAM: longest side to the input size, 0..1, zeros right and below; logits are interpolated
};

/// "sam", "medsam" or "litemedsam". Throws UsageError.
SamStyle samStyleFromName(const std::string& name);
const char* samStyleName(SamStyle style);

/// Sizes of one picture before and after preparation, pixels.
struct SamFrame {
    SamStyle style = SamStyle::Sam;
    std::int64_t height = 0;  ///< of the picture
    std::int64_t width = 0;
    std::int64_t scaledHeight = 0;  ///< of the part of the network's input that shows the picture
    std::int64_t scaledWidth = 0;
    std::int64_t inputSize = 0;  ///< of the network's input along both axes
};

SamFrame samFrame(SamStyle style, std::int64_t height, std::int64_t width, std::int64_t inputSize);

/// The picture scaled to the frame, bytes (scaledHeight, scaledWidth, 3).
torch::Tensor scaledBytes(const PngPixels& picture, const SamFrame& frame);

/// The network's input, float (1, 3, inputSize, inputSize). A gray picture gives three equal channels.
torch::Tensor samInput(const PngPixels& picture, const SamFrame& frame);

/// x, y in pixels of the picture (last axis of 2, or of 4 for boxes) to pixels of the network's input, float.
torch::Tensor toInputFrame(const torch::Tensor& coordinates, const SamFrame& frame);

/// Low-resolution logits (batch, n, h, w) to scores at the picture's size (batch, n, height, width): logits, for Medsam
/// probabilities.
torch::Tensor maskScores(const torch::Tensor& logits, const SamFrame& frame);

/// Above which a score counts as inside: 0 for logits, 0.5 for probabilities.
double maskThreshold(SamStyle style);

}  // namespace medseg
