// RT structure sets (PS3.3, A.19): contours drawn on an image, filled on its grid.
#pragma once

#include "medseg/io/dicom/dicom_file.h"
#include "medseg/io/image_file.h"

namespace medseg::dicom {

/// Labels with names and display colours on the grid of options.reference; without it, of the series in the same folder
/// that the structure set was drawn on. Voxels whose centre lies inside a region's closed planar contours (even-odd)
/// get its number. options.segments chooses. Throws DataError: no reference, contours across slices, regions that
/// overlap.
ImageHeader structureSetHeader(const DicomFile& file, const ReadOptions& options);
StoredImage readStructureSet(const DicomFile& file, const ReadOptions& options);

}  // namespace medseg::dicom
