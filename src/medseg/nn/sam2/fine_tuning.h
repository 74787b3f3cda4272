// Fine-tuning SAM 2 on single images with box prompts, as MedSAM2 (2024, Ma et al.) does it.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam2/sam2.h"

namespace medseg {

/// Lets gradients flow into the parts named "image_encoder" and "mask_decoder" only; the rest of the network keeps its
/// weights. Throws UsageError for another name, or without any.
void trainOnly(Sam2Impl& network, const std::vector<std::string>& parts);

/// Mask logits (batch, 1, 4 g, 4 g) of one box an image. images: (batch, 3, side, side), normalised; boxes: (batch, 4),
/// x0 y0 x1 y1 in network pixels. Boxes enter as two points, and single masks are asked for.
torch::Tensor boxLogits(Sam2Impl& network, const torch::Tensor& images, const torch::Tensor& boxes);

}  // namespace medseg
