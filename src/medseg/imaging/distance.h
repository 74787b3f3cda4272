// Distance transforms: exact Euclidean with anisotropic spacing, signed, chessboard and taxicab.
#pragma once

#include <cstdint>

#include "medseg/volume/volume.h"

namespace medseg {

/// Distance in mm of every non-zero voxel to the centre of the nearest zero voxel; zero voxels get 0, all voxels
/// infinity where the mask has no zero voxel (beyond the border there is nothing). Exact (no chamfer approximation);
/// spacing is the geometry's. A volume with nz = 1 is a slice. In is uint8, uint16, int16, uint32 or int32, Out float
/// (rounding of one addition and a square root) or double. Works in the output: no memory beyond input and output but a
/// few hundred KB a thread. Throws DataError for a volume without voxels.
template <typename Out = float, typename In>
Volume<Out> distanceToZero(const Volume<In>& mask);
/// The square of it, mm^2.
template <typename Out = float, typename In>
Volume<Out> squaredDistanceToZero(const Volume<In>& mask);
/// Distance in mm of every zero voxel to the centre of the nearest non-zero voxel: the outside of a mask.
template <typename Out = float, typename In>
Volume<Out> distanceToMask(const Volume<In>& mask);

/// Distance to the other side, positive outside the mask and negative inside, centre to centre (no voxel is exactly 0).
/// Without outside (inside) all values are -infinity (+infinity). One more volume of Out is needed while it runs.
template <typename Out = float, typename In>
Volume<Out> signedDistance(const Volume<In>& mask);

enum class GridMetric {
    Chessboard,  ///< largest coordinate difference (26 neighbours at distance 1)
    Taxicab      ///< sum of coordinate differences (6 neighbours at distance 1)
};
/// Distance in voxels of every non-zero voxel to the nearest zero voxel; -1 everywhere if there is none.
template <typename In>
Volume<std::int32_t> gridDistanceToZero(const Volume<In>& mask, GridMetric metric);

}  // namespace medseg
