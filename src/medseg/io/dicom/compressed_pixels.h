// Compressed DICOM pixels through GDCM.
#pragma once

#include <memory>

#include "medseg/base/isolated_process.h"
#include "medseg/io/dicom/dicom_file.h"

namespace medseg::dicom {

struct DecodedPixels {
    std::unique_ptr<SharedMemory> memory;
    std::size_t offset = 0;  ///< where the pixels begin in it
    int bits = 16;           ///< 8, 16 or 32 for each pixel, native byte order
    bool isSigned = false;
};

/// Decodes all frames of encapsulated pixel data. GDCM and its codecs stop the process on some damaged streams
/// (assertions): they work in a copy of it. Throws DataError: damaged, truncated, unsupported encoding.
DecodedPixels decodeCompressed(const DicomFile& file, const Element& pixelData);

}  // namespace medseg::dicom
