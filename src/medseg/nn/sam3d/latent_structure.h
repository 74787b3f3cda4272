// From a solid on SAM 3D's grid to what the mesh decoder sees: voxels around the surface and, where no latent generator
// is at hand, features of the solid near them.
#pragma once

#include <torch/torch.h>

namespace medseg {

/// Voxels with both inside and outside among themselves and their 26 neighbours: whatever surface separates the two
/// passes through them. Cells beyond the grid count as neither. solid: (g, g, g), above 0.5 inside; the result is (n,
/// 3) int64, ascending by (x, y, z).
torch::Tensor bandVoxels(const torch::Tensor& solid);

/// Inside voxels with an empty one among their 26 neighbours, what the released structure stage was trained on; cells
/// beyond the grid count as filled.
torch::Tensor shellVoxels(const torch::Tensor& solid);

/// For every voxel (n, 3) the solid smoothed by a Gaussian of one voxel at its eight corners (x fastest), from -2
/// (outside) to 2: (n, 8). The grid's border voxels go on beyond it.
torch::Tensor cornerOccupancy(const torch::Tensor& solid, const torch::Tensor& voxels);

}  // namespace medseg
