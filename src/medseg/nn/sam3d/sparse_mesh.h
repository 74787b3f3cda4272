// From what the mesh decoder says at every voxel of its fine grid to a mesh.
#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace medseg {

/// Channels of a voxel: distances at its 8 corners (x fastest), deformations 8 x 3, weights of FlexiCubes (beta 12,
/// alpha 8, gamma 1) and, with colours, 8 x 6 attributes (colour, normal).
struct MeshChannels {
    bool colors = true;

    static constexpr std::int64_t kCorners = 8, kDeformation = 24, kWeights = 21, kColors = 48;
    std::int64_t count() const { return kCorners + kDeformation + kWeights + (colors ? kColors : 0); }
};

struct DecodedMesh {
    torch::Tensor vertices;    ///< (v, 3) in [-0.5, 0.5] (deformed corners may reach slightly beyond)
    torch::Tensor faces;       ///< (f, 3) int64, facing outward
    torch::Tensor attributes;  ///< (v, 6) colour and normal in 0..1; undefined without colours
    // In training only:
    torch::Tensor regulariser;      ///< scalar: corner consistency + deviation / 2 + mean |beta, alpha| / 5
    torch::Tensor supportPoints;    ///< (corners, 3): deformed positions of all corners of the voxels
    torch::Tensor supportDistance;  ///< (corners): distance there, cube units, negative inside
};

/// coordinates: (n, 3) int64 in 0..resolution - 1, distinct, in any order; channels: (n, layout.count()). Every corner
/// takes the mean of the voxels that share it. Corners of no voxel are outside at distance 1; with `solid`, a boolean
/// (g, g, g) where g divides the resolution, they are inside at distance -1 where it is true, so that a band of voxels
/// around a surface yields no second surface on its inner side. Work and memory are proportional to the voxels.
DecodedMesh extractMesh(const torch::Tensor& coordinates, const torch::Tensor& channels, std::int64_t resolution,
                        const MeshChannels& layout, bool training, const torch::Tensor& solid = {});

/// Signed distance at the corners of every voxel (n, 8), cube units, from what the voxels that share a corner say.
torch::Tensor cornerDistances(const torch::Tensor& coordinates, const torch::Tensor& channels, std::int64_t resolution);

/// A mesh without vertices.
DecodedMesh emptyMesh(bool colors);

}  // namespace medseg
