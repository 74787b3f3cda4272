// The loss that MedSAM trains with: Dice and binary cross entropy of one mask a prompt.
#pragma once

#include <torch/torch.h>

namespace medseg {

struct PromptableLoss {
    torch::Tensor dice;
    torch::Tensor bce;
    torch::Tensor total() const { return dice + bce; }
};

/// logits and targets (0 or 1): (batch, 1, height, width). Dice of each mask with squared terms in the denominator
/// (MONAI's DiceLoss with sigmoid and squared_pred, smoothing 1e-5), then the mean; BCE over all pixels.
PromptableLoss promptableLoss(const torch::Tensor& logits, const torch::Tensor& targets);

/// Loss of one slice of clips on which an object may be absent: promptableLoss() over the clips that show it, and cross
/// entropy of its presence (as SAM 2 trains its object score). logits, targets: (clips, 1, height, width); scores:
/// (clips, 1).
torch::Tensor trackedLoss(const torch::Tensor& logits, const torch::Tensor& scores, const torch::Tensor& targets);

}  // namespace medseg
