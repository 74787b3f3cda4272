// Loss of decoded meshes against the shape they should have.
#pragma once

#include <functional>

#include <torch/torch.h>

#include "medseg/nn/sam3d/sparse_mesh.h"

namespace medseg {

/// The shape to be reached, in the cube [-0.5, 0.5]^3.
struct MeshTarget {
    /// Signed distance (negative inside, cube units) at points (n, 3).
    std::function<torch::Tensor(const torch::Tensor& points)> distance;
    torch::Tensor surface;  ///< (m, 3) points on the surface; may be empty
};

struct MeshLossSettings {
    std::int64_t grid = 64;             ///< lengths count in voxels of the structure
    double distance = 1;                ///< mean |predicted - true| distance at the supervision points, voxels
    double chamfer = 0.1;               ///< mean squared distance to the nearest surface point, both ways, voxels^2
    double regulariser = 0.1;           ///< of FlexiCubes
    double occupancy = 0;               ///< cross entropy of inside and outside at the supervision points
    double limit = 3;                   ///< both distances are clamped to this, voxels
    std::int64_t chamferPoints = 4096;  ///< drawn from either side
};

struct MeshLoss {
    torch::Tensor total;
    double distance = 0, chamfer = 0, regulariser = 0, occupancy = 0;  ///< unweighted
};

/// `mesh` must come from extractMesh() in training mode. Draws points from torch's generator.
MeshLoss meshLoss(const DecodedMesh& mesh, const MeshTarget& target, const MeshLossSettings& settings);

/// Mean squared distance from each point of one set to the nearest of the other, both directions added; gradients to
/// both. 0 when a set is empty. a: (n, 3); b: (m, 3).
torch::Tensor chamferDistance(const torch::Tensor& a, const torch::Tensor& b);

}  // namespace medseg
