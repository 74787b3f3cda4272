// Measuring on some slices of a volume only.
#pragma once

#include <vector>

#include "medseg/dataset/slice_plan.h"
#include "medseg/volume/label_map.h"

namespace medseg {

/// The listed canonical slices across `axis` (see SlicePlan) of `labels`, stacked in order into a volume of their own
/// (RAS). The distance between slices is that of the first two, so overlap measures and volumes hold and surface
/// distances across slices are approximate. Throws DataError if a slice lies outside.
LabelMap stackSlices(const LabelMap& labels, const std::vector<std::int64_t>& slices, SliceAxis axis);

}  // namespace medseg
