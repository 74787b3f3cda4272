// From logits to probabilities, and how sure they are.
#pragma once

#include <cstdint>

#include "medseg/nn/segmentation_loss.h"

namespace medseg {

/// In place, `channels` values a pixel: sigmoid of each, or softmax over them. Runs in parallel.
void toProbabilities(float* values, std::int64_t pixels, std::int64_t channels, OutputKind output);

/// Uncertainty of one pixel, 0 (sure) to 1: with softmax outputs the entropy divided by its largest possible value;
/// with sigmoid outputs the largest binary entropy of any structure, in bits.
float pixelEntropy(const float* probability, std::int64_t channels, OutputKind output);

}  // namespace medseg
