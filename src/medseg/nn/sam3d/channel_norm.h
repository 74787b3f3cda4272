// Layer normalisation over the channels of volumes, voxel by voxel, in the layout that convolutions use.
#pragma once

#include <torch/torch.h>

namespace medseg {

/// x (N, C, ...) -> the same shape: every voxel's C values get mean 0 and variance 1, then weight (C) and bias (C).
/// Equal to torch::layer_norm over a permuted tensor without its copies; with gradients.
torch::Tensor channelNorm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                          double epsilon);

}  // namespace medseg
