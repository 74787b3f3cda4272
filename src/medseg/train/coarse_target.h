// Targets at the resolution of logits that are coarser than the labels, without moving them: a target that lies half a
// coarse pixel beside the image teaches a network to answer beside the object.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

namespace medseg {

/// `mask` (rows * columns of 0 and 1, x fastest) on a grid of side x side: float (1, side, side), 1 where at least half
/// of the coarse pixel is covered; of an object too small for that, where it covers most. A mask of that size stays as
/// it is. Throws DataError for masks without pixels.
torch::Tensor coarseMask(const std::vector<std::uint8_t>& mask, std::int64_t rows, std::int64_t columns,
                         std::int64_t side);

/// Labels (N, layers, [depth,] height, width) of every `step`-th pixel along the spatial axes: those at the middle of
/// the coarse pixels, which cover step^2 or step^3 fine ones. Sizes are multiples of step.
torch::Tensor coarseLabels(const torch::Tensor& labels, std::int64_t step);

}  // namespace medseg
