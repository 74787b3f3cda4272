// The shape that a mesh should reach, in SAM 3D's cube [-0.5, 0.5]^3.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "medseg/base/random.h"
#include "medseg/dataset/sam3d_frame.h"
#include "medseg/nn/sam3d/mesh_loss.h"

namespace medseg {

class ReferenceShape {
  public:
    /// `distance`: of a label as Sam3dDataset::readDistance() gives it, in memory order (i, j, k): to the nearest voxel
    /// of the other kind. The surface lies half a voxel before that voxel's centre, so half a voxel is taken off. The
    /// field keeps the resolution of the volume, up to 256 samples a side.
    ReferenceShape(const Volume<float>& distance, const OccupancyFrame& frame);

    std::int64_t grid() const { return solid_.size(0); }
    /// Boolean (grid, grid, grid): voxels of the frame whose centre is inside the shape and the volume.
    const torch::Tensor& solid() const { return solid_; }
    /// Signed distance at points (n, 3), cube units, linearly interpolated.
    torch::Tensor distance(const torch::Tensor& points) const;
    /// (m, 3): the vertices of the field's surface.
    const torch::Tensor& surface() const { return surface_; }
    /// For meshLoss(). The shape must outlive it.
    MeshTarget target() const;
    std::int64_t bytes() const { return field_.nbytes() + solid_.nbytes() + surface_.nbytes(); }

    /// An original (one that was not changed yet) with axes exchanged and mirrored at random, moved by whole voxels as
    /// far as all of it stays in the cube.
    ReferenceShape changed(Random& random) const;
    /// Surface points within some voxels (n, 3) of the grid only.
    torch::Tensor surfaceWithin(const torch::Tensor& voxels) const;

  private:
    ReferenceShape() = default;

    torch::Tensor field_;  ///< (l, l, l): distance, cube units, of the shape before it was changed
    torch::Tensor solid_;
    torch::Tensor surface_;
    // How the shape was changed: coordinate i is sign i times old coordinate axes_[i], plus shift i.
    std::vector<std::int64_t> axes_{0, 1, 2};
    torch::Tensor sign_ = torch::ones({3});
    torch::Tensor shift_ = torch::zeros({3});
};

}  // namespace medseg
