// Pictures of cached training slices: as they are, changed by augmentation, or with a prediction.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "medseg/dataset/augmentation.h"
#include "medseg/dataset/slice_cache.h"
#include "medseg/report/overlay.h"

namespace medseg {

/// The pixels of one slice in the cache's order: height * width each.
struct SlicePixels {
    std::span<const float> image;               ///< 0..1
    std::span<const std::uint16_t> reference;   ///< label ids; empty: none
    std::span<const std::uint16_t> prediction;  ///< label ids; empty: none
};

/// The panels of a slice of `cache`, as renderOverlayRow() draws them, with the slice's place and size in the patient.
/// Throws DataError when a span has another size than the cache's slices.
OverlayRow renderSlice(const SliceCache& cache, std::int64_t slice, const SlicePixels& pixels, double panelSize);

/// Of each of `count` equal stretches of the list, the slice with the most structures.
std::vector<std::int64_t> richSlices(const SliceCache& cache, std::span<const std::int64_t> candidates, int count);

/// A sheet with `rows` slices, spread over the cache and rich in structures, each as cached and changed `changes` times
/// as `settings` say (also when they are not enabled). The same seed gives the same sheet. Throws UsageError for an
/// empty cache.
Canvas renderAugmentations(const SliceCache& cache, AugmentationSettings settings, std::uint64_t seed, int rows,
                           int changes);

}  // namespace medseg
