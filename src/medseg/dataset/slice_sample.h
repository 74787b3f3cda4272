// One slice of a cache in memory, alone or with its neighbours.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/dataset/augmentation.h"
#include "medseg/dataset/slice_cache.h"

namespace medseg {

/// Cache numbers of `slice` and the `neighbours` slices before and after it in its volume, in that order: 2 k + 1
/// entries, the slice itself in the middle. Beyond the ends of the volume the end slice repeats.
std::vector<std::int64_t> withNeighbours(const SliceCache& cache, std::int64_t slice, int neighbours);

/// Throws UsageError, naming the case, when a cache left slices of its volumes out, so that neighbours are missing.
void requireAllSlices(const SliceCache& cache);

/// Reads image channels (see withNeighbours) and all label layers of a slice. Reuses the sample's memory.
void loadSample(const SliceCache& cache, std::int64_t slice, int neighbours, SliceSample& sample);

}  // namespace medseg
