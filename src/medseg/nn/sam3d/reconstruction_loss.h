// Losses of decoded structures against the reference in the frame.
#pragma once

#include <torch/torch.h>

namespace medseg {

/// 1 - Dice of the probabilities of logits over each sample, mean over the batch. Both (batch, ...).
torch::Tensor overlapLoss(const torch::Tensor& logits, const torch::Tensor& target);

/// Mean binary cross entropy of logits plus overlapLoss(). Both (batch, ...).
torch::Tensor occupancyLoss(const torch::Tensor& logits, const torch::Tensor& target);

/// Mean of |probability - target| weighted by min(|distance|, limit) / limit: 0 for a perfect reconstruction, and the
/// dearer the farther an error lies from the surface. distance: signed, in frame voxels.
torch::Tensor distanceLoss(const torch::Tensor& logits, const torch::Tensor& target, const torch::Tensor& distance,
                           double limit = 8);

/// Mean of the Kullback-Leibler divergence from the standard normal, over all values.
torch::Tensor normalDivergence(const torch::Tensor& mean, const torch::Tensor& logVariance);

/// 2 |A and B| / (|A| + |B|) of two boolean tensors; 1 when both are empty.
double overlapOf(const torch::Tensor& a, const torch::Tensor& b);

}  // namespace medseg
