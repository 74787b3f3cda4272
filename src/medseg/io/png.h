// PNG images through libpng.
#pragma once

#include <cstdint>
#include <filesystem>
#include <variant>
#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

struct PngInfo {
    std::int64_t width = 0;
    std::int64_t height = 0;
    int channels = 1;  ///< 1 gray, 2 gray + alpha, 3 RGB (also of a palette), 4 RGB + alpha
    int bits = 8;      ///< 8 or 16 after expansion of smaller depths
};

/// Header facts. Throws DataError.
PngInfo readPngInfo(const std::filesystem::path& path);

/// A gray image as a volume of one slice, row 0 first, identity affine; 8 or 16 bit. Depths below 8 bits are expanded
/// to 0..255. A colour file (8 bit, opaque) all of whose pixels are gray counts as gray. Throws DataError: damaged,
/// truncated, or coloured.
AnyVolume readPng(const std::filesystem::path& path);

/// 8-bit pixels of 1 (gray) or 3 (RGB) channels, rows top to bottom.
struct PngPixels {
    std::int64_t width = 0;
    std::int64_t height = 0;
    int channels = 1;
    std::vector<std::uint8_t> bytes;  ///< width * height * channels
};

/// Any PNG as 8-bit gray or RGB; alpha is dropped, 16 bits are rounded down to 8.
PngPixels readPngPixels(const std::filesystem::path& path);

/// Write atomically. Throw WorkError.
void writePng(const std::filesystem::path& path, const PngPixels& pixels);
void writePng(const std::filesystem::path& path, const SliceView<const std::uint8_t>& slice);
void writePng(const std::filesystem::path& path, const SliceView<const std::uint16_t>& slice);

}  // namespace medseg
