// The headers of NIfTI-1 (348 bytes) and NIfTI-2 (540 bytes) files and where their voxels lie in the world.
// Source: nifti1.h and nifti2.h of the NIfTI standard; where files break it, nibabel's reading is followed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/io/byte_order.h"
#include "medseg/io/deflate.h"
#include "medseg/volume/geometry.h"

namespace medseg {

/// Codes of the header field `datatype`.
enum class NiftiType : int {
    U8 = 2,
    I16 = 4,
    I32 = 8,
    F32 = 16,
    Complex64 = 32,
    F64 = 64,
    RGB24 = 128,
    I8 = 256,
    U16 = 512,
    U32 = 768,
    I64 = 1024,
    U64 = 1280,
    F128 = 1536,
    Complex128 = 1792,
    Complex256 = 2048,
    RGBA32 = 2304
};

/// numpy's name, or "rgb24", "rgba32"; "datatype <code>" for unknown codes.
std::string niftiTypeName(NiftiType type);
/// Bytes of a voxel; 0 for types whose voxels are not numbers that this program reads (RGB, complex, float128).
std::size_t niftiTypeSize(NiftiType type);

/// A block between header and voxels.
struct NiftiExtension {
    int code = 0;
    std::vector<std::uint8_t> bytes;  ///< without its 8-byte head, with padding
};

struct NiftiHeader {
    int version = 1;
    bool singleFile = true;  ///< voxels follow in the same file; else in the .img beside the .hdr
    ByteOrder byteOrder = ByteOrder::Little;
    std::vector<std::int64_t> shape;  ///< as announced, x first, 1 to 7 entries, all positive
    NiftiType type = NiftiType::U8;
    double slope = 1;  ///< value = stored * slope + inter; 1 and 0 when slope is 0 or not finite, as nibabel does
    double inter = 0;
    std::uint64_t dataOffset = 0;  ///< of the voxels in their file
    Geometry geometry;             ///< of the first three axes: sform, else qform, else voxel sizes around the centre

    std::int64_t volumeCount() const;  ///< product of the sizes from the fourth on
    bool hasScaling() const { return slope != 1 || inter != 0; }
};

constexpr std::size_t kNifti1HeaderSize = 348, kNifti2HeaderSize = 540;

/// Parses the first bytes of a header file (348 for NIfTI-1, 540 for NIfTI-2; fewer are an error). Throws DataError,
/// naming `source`: truncated, wrong magic, impossible sizes, invalid intercept, affine without extent.
NiftiHeader parseNiftiHeader(ByteSpan bytes, const std::string& source);

/// The header (little-endian) and, behind it, the 4 bytes that say whether extensions follow. Writes the affine as
/// sform, and as qform too where it has no shear. NIfTI-2 is written when header.version is 2. Slope and offset are
/// taken over.
std::vector<std::uint8_t> serializeNiftiHeader(const NiftiHeader& header, bool hasExtensions);

}  // namespace medseg
