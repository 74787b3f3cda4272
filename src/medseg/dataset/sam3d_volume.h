// Volumes as SAM 3D's preparation sees them, and what is computed from them: resampling, signed distances, surface
// targets. Array axes are the index axes (i, j, k) as the file stores them, never reoriented, and k is contiguous: the
// order of a C-order numpy array of shape (i, j, k). Source: the medical fine-tuning scripts around SAM 3D Objects.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

/// Image and labels of one case on one grid. The volumes hold k along their x axis and i along their z axis, so that
/// their memory is that of a numpy array (i, j, k); their own affine is that of the turned axes.
struct Sam3dVolume {
    Volume<float> image;
    Volume<std::uint8_t> labels;  ///< 0 background

    /// Voxels along i, j, k.
    Index3 size() const { return {labels.nz(), labels.ny(), labels.nx()}; }
    /// From voxel index (i, j, k) to RAS+ mm.
    Affine affine() const;
};

/// Image and labels with x contiguous, as they are read, turned. Throws DataError unless their sizes agree.
Sam3dVolume turnedVolume(const Volume<float>& image, const Volume<std::uint8_t>& labels);

/// The grid of `geometry` with cubic voxels of `spacing` mm around the same centre: floor(n * old / new) voxels along
/// each axis, at least one. Counts short of a whole number by less than 1e-4 (spacings stored as float32) are rounded
/// up. Throws UsageError unless the spacing is positive and finite.
Geometry isotropicGrid(const Geometry& geometry, double spacing);

enum class DistanceUnit { Voxel, Millimetre };

/// The value of the signed distance where a label does not occur (negated: where nothing else occurs).
constexpr float kSam3dNoSurface = 1e6F;

/// Distance of every voxel to the nearest voxel of the other kind (label or not label), negative inside, never 0, in
/// the order of `labels`.
Volume<float> labelDistance(const Volume<std::uint8_t>& labels, std::uint8_t label, DistanceUnit unit);

/// Voxel index (i, j, k).
using VoxelIndex = std::array<std::int32_t, 3>;

/// Surface target of the structure stage: foreground voxels with a background voxel among their 26 neighbours; cells
/// outside the grid count as filled. Row-major order.
std::vector<VoxelIndex> shellVoxels(const Volume<std::uint8_t>& labels);
/// The released pruning of decoded structures: foreground voxels whose 3x3x3 neighbourhood is not full; cells outside
/// the grid count as empty. Row-major order.
std::vector<VoxelIndex> prunedVoxels(const Volume<std::uint8_t>& labels);

}  // namespace medseg
