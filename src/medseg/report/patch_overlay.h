// Pictures of training patches: as they are, changed by augmentation, or with a prediction.
#pragma once

#include <cstdint>
#include <span>

#include "medseg/dataset/patch_transform.h"
#include "medseg/report/overlay.h"

namespace medseg {

/// One axial plane of a patch, size.x * size.y pixels each, x fastest.
struct PatchPlane {
    std::span<const float> image;               ///< 0..1
    std::span<const std::uint16_t> reference;   ///< label ids
    std::span<const std::uint16_t> prediction;  ///< label ids; empty: none
};

/// The panels of plane `z` (0 is the lowest of the patch), as renderOverlayRow() draws them. Throws DataError when a
/// span has another size than the plane.
OverlayRow renderPatchPlane(const VolumeCache& cache, const PatchPlace& place, const Index3& size, std::int64_t z,
                            const PatchPlane& pixels, double panelSize);

/// The axial plane of a patch (first label layer) with the most labelled voxels; the middle one if there are none.
std::int64_t richestPlane(const PatchSample& sample);

/// A sheet with one patch of each of `rows` cases, spread over the cache and centred on a structure, as cached and
/// changed `changes` times as `settings` say (also when they are not enabled): the plane of each patch that shows most.
/// The same seed gives the same sheet. Throws UsageError for an empty cache.
Canvas renderPatchAugmentations(const VolumeCache& cache, const Index3& size, AugmentationSettings settings,
                                std::uint64_t seed, int rows, int changes);

}  // namespace medseg
