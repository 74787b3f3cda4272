// Boxes of voxels cut out of a volume, in their place in the world.
#pragma once

#include "medseg/volume/volume.h"

namespace medseg {

/// Voxels low <= index < high along each axis.
struct VoxelBox {
    Index3 low{0, 0, 0};
    Index3 high{0, 0, 0};

    bool empty() const { return high[0] <= low[0] || high[1] <= low[1] || high[2] <= low[2]; }
    /// Larger by `margin` voxels a side, cut at the border of a volume of that size.
    VoxelBox grown(const Index3& margin, const Index3& size) const;
};

/// The smallest box around all values above `threshold`; empty if there are none.
VoxelBox boxAbove(const Volume<float>& volume, float threshold);

/// The smallest box around all voxels that are not 0; empty if there are none. Voxel types of masks.
template <typename T>
VoxelBox boxOfMask(const Volume<T>& mask);

/// The box as a volume of its own; a voxel keeps its world point. Voxel types of masks, and float. Throws UsageError
/// for a box that is empty or leaves the volume.
template <typename T>
Volume<T> crop(const Volume<T>& volume, const VoxelBox& box);

}  // namespace medseg
