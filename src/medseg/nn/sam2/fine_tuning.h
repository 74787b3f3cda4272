// Fine-tuning SAM 2 with box prompts: on single images, as MedSAM2 (2024, Ma et al.) does it, and on clips whose later
// slices are found by memory, as SAM 2 itself is trained (Ravi et al. 2024, section "Training").
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam2/sam2.h"

namespace medseg {

/// Lets gradients flow into the named parts only: "image_encoder", "mask_decoder", "memory" (memory encoder and
/// attention, their codes, object pointers). The rest of the network keeps its weights. Throws UsageError for another
/// name, or without any.
void trainOnly(Sam2Impl& network, const std::vector<std::string>& parts);

/// Mask logits (batch, 1, 4 g, 4 g) of one box an image. images: (batch, 3, side, side), normalised; boxes: (batch, 4),
/// x0 y0 x1 y1 in network pixels. Boxes enter as two points, and single masks are asked for.
torch::Tensor boxLogits(Sam2Impl& network, const torch::Tensor& images, const torch::Tensor& boxes);

/// One slice of several clips.
struct ClipAnswer {
    torch::Tensor logits;       ///< (clips, 1, 4 g, 4 g), whether or not the object is held to be present
    torch::Tensor objectScore;  ///< (clips, 1): logits of its presence
};

/// Tracks one object a clip: the box prompts the first slice, memory leads to the others. images: (clips, slices, 3,
/// side, side), normalised; boxes: (clips, 4) as in boxLogits(). One answer a slice. A mask is remembered even where
/// the object is held to be absent, so that its gradient reaches all slices.
std::vector<ClipAnswer> trackClips(Sam2Impl& network, const torch::Tensor& images, const torch::Tensor& boxes);

}  // namespace medseg
