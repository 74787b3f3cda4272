// Losses on signed distances and meshes, as the medical fine-tuning of SAM 3D defines them.
#pragma once

#include <torch/torch.h>

namespace medseg {

/// Mean absolute difference of signed distances; with a mask its weighted sum over (sum of the mask + 1e-8).
torch::Tensor signedDistanceLoss(const torch::Tensor& predicted, const torch::Tensor& reference,
                                 const torch::Tensor& mask = {});

/// Mean squared difference of signed distances.
torch::Tensor signedDistanceSquare(const torch::Tensor& predicted, const torch::Tensor& reference);

/// Unbiased variance of the lengths of all three edges of every face; an edge that two faces share counts twice.
/// vertices: (V, 3); faces: (F, 3) int64.
torch::Tensor edgeLengthVariance(const torch::Tensor& vertices, const torch::Tensor& faces);

}  // namespace medseg
