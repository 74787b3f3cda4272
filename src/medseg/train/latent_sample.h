// What the mesh decoder is trained on at a time.
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "medseg/nn/sam3d/mesh_loss.h"
#include "medseg/train/reference_shape.h"

namespace medseg {

struct LatentSample {
    torch::Tensor voxels;   ///< (n, 3) int64 of the structure
    torch::Tensor latents;  ///< (n, 8), as the decoder takes them
    torch::Tensor solid;    ///< boolean (grid, grid, grid), see extractMesh()
    MeshTarget target;
};

/// The band around a shape's surface with the local occupancy as latents. With `largest` above 0 and fewer than the
/// voxels there are, those nearest to a voxel that `random` draws. The shape must outlive the sample.
LatentSample structureSample(const ReferenceShape& shape, std::int64_t largest, Random* random);

/// Rows of `voxels` (n, 3) that are nearest to one of them, by the largest coordinate difference; ascending.
torch::Tensor nearestVoxels(const torch::Tensor& voxels, std::int64_t count, Random& random);

}  // namespace medseg
