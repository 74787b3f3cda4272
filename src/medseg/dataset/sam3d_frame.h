// The cube of voxels that SAM 3D's structure stage sees, and its way to a volume and back. Grids are flat, (x, y, z)
// with z contiguous; their axes are the index axes (i, j, k) of the volume.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/dataset/sam3d_slices.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// A cube over a volume. Voxel f of `grid` lies at index centre + ((f + 0.5) / grid - 0.5) side - 0.5 of the volume.
struct OccupancyFrame {
    Vec3 centre{};           ///< volume voxels from the outer corner of voxel (0, 0, 0)
    double side = 64;        ///< volume voxels
    std::int64_t grid = 64;  ///< frame voxels along a side

    double step() const { return side / static_cast<double>(grid); }
    double toIndex(int axis, double voxel) const;
    double toFrame(int axis, double index) const;
};

/// The middle grid^3 voxels of a volume of `size` voxels, one to one.
OccupancyFrame cropFrame(const Index3& size, std::int64_t grid);

/// A cube around the box of `label` in the slice's mask, centred on the slice; its side is `factor` times the longer
/// side of the box. Throws DataError when the mask does not show the label.
OccupancyFrame objectFrame(const Sam3dSlice& slice, int label, double factor, std::int64_t grid);

/// Signed distances (memory order (i, j, k), negative inside) at the voxels of the frame, linearly interpolated, in
/// frame voxels. Outside the volume the nearest voxel counts.
std::vector<float> distanceInFrame(const Volume<float>& distance, const OccupancyFrame& frame);

/// 1 where the distance is below 0 and the voxel lies in the volume.
std::vector<std::uint8_t> occupancyInFrame(const Volume<float>& distance, const OccupancyFrame& frame);

/// The voxels of a solid that have an empty one among their 26 neighbours; cells outside the grid count as filled.
std::vector<std::uint8_t> surfaceOf(const std::vector<std::uint8_t>& solid, std::int64_t grid);

/// A surface with its interior: all 6-connected empty parts become filled but those that hold at least a tenth of the
/// empty voxels on the faces of the cube (an object may be cut by the cube, so that its inside reaches a face).
std::vector<std::uint8_t> filledSurface(const std::vector<std::uint8_t>& surface, std::int64_t grid);

/// Values of the frame at every voxel of `target`, linearly interpolated, 0 outside the frame. `affine` leads from
/// index (i, j, k) of the framed volume to RAS+ mm.
Volume<float> placeFrame(const std::vector<float>& values, const OccupancyFrame& frame, const Affine& affine,
                         const Geometry& target);

}  // namespace medseg
