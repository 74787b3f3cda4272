// DICOM segmentations (PS3.3, A.51): binary, fractional and label-map frames.
#pragma once

#include "medseg/io/dicom/dicom_file.h"
#include "medseg/io/image_file.h"

namespace medseg::dicom {

/// Labels with names and recommended colours. The grid is spanned by the frames, which may leave slices without any
/// segment out; with options.reference it is that image's grid. Fractional segments count from half of the maximum on.
/// options.segments chooses. Throws DataError: frames off the grid, damaged pixels; segments that overlap.
ImageHeader segmentationHeader(const DicomFile& file, const ReadOptions& options);
StoredImage readSegmentation(const DicomFile& file, const ReadOptions& options);

}  // namespace medseg::dicom
