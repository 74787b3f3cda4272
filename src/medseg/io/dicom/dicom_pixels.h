// Decoded pixels of DICOM files and the voxel type they become.
#pragma once

#include <string>
#include <vector>

#include "medseg/io/dicom/dicom_file.h"
#include "medseg/volume/volume.h"

namespace medseg::dicom {

/// How stored pixels become voxels.
struct PixelScaling {
    std::string type;             ///< numpy name of the voxels: "int16" ...
    bool applied = true;          ///< slope and intercept are in the voxels
    double slope = 1, inter = 0;  ///< what remains for the reader of the voxels
};

/// Slope 1 and a whole intercept (CT) go into the smallest integer type that holds the result; one fractional slope for
/// all frames stays in the header; different slopes (PET) give float32.
PixelScaling chooseScaling(const PixelLayout& pixels, const std::vector<Frame>& frames);

/// Throws DataError (naming the file): colours, or sizes that the file's length cannot justify.
void requireReadablePixels(const DicomFile& file);

/// Decodes a file and writes frame f to targets[f] (columns x rows voxels each; null: not wanted), scaled by the slope
/// and intercept of file.frames[f] if `applied`. T is the type called scaling.type. Throws DataError.
template <typename T>
void decodeFrames(const DicomFile& file, bool applied, const std::vector<T*>& targets);

/// Name of a transfer syntax: "JPEG 2000 (lossless)"; the UID for rare ones.
std::string transferSyntaxName(const std::string& uid);

}  // namespace medseg::dicom
