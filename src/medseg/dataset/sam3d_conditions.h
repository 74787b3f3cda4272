// Choosing and cutting the slices from which SAM 3D reconstructs an object.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/dataset/sam3d_dataset.h"
#include "medseg/volume/label_map.h"

namespace medseg {

/// `count` slices among `objects` (all of one label and case), spread over the axes. An axis that gives one slice gives
/// that with the most pixels, one that gives several gives slices at even distances of its list.
std::vector<Sam3dObject> chooseSlices(const std::vector<Sam3dObject>& objects, std::size_t count);

/// The slices of a label map that show `label`, across the given index axes, with at least `minPixels` pixels. Where
/// all of the label lies on one slice across an axis, this slice alone: somebody drew it there.
std::vector<Sam3dObject> slicesShowing(const LabelMap& labels, int label, const std::vector<int>& axes,
                                       std::int64_t minPixels);

/// The slice `index` across `axis` of image and labels as it looks on `grid`, whose axes run along those of the image
/// (isotropicGrid()): intensities by linear, labels by nearest interpolation within the slice, points of labelled
/// pixels where they lie. slice.index is the nearest slice of the grid. Throws UsageError for a slice outside the
/// image, DataError for grids whose axes differ.
Sam3dSlice sliceOnGrid(const Volume<float>& image, const LabelMap& labels, int axis, std::int64_t index,
                       const Geometry& grid);

}  // namespace medseg
