// DICOM segmentations hold the frames that have segments; to compare them they are put on the other side's grid.
#pragma once

#include <string>

#include "medseg/volume/label_map.h"

namespace medseg {

/// `labels` on `grid`, background around them, if the voxels of both lie on one lattice (axes in any order and
/// direction, shifted by whole voxels, within 0.01 voxels); else `labels` as they are. Throws DataError, naming
/// `source`, when labelled voxels lie outside the grid.
LabelMap onGrid(LabelMap labels, const Geometry& grid, const std::string& source);

/// The smallest grid on the lattice of `a` that holds the voxels of `a` and `b`; that of `a` if they share no lattice.
Geometry commonGrid(const Geometry& a, const Geometry& b);

}  // namespace medseg
