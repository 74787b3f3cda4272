// Coloured pictures: PNG, JPEG and TIFF as 8-bit pixels.
#pragma once

#include <filesystem>

#include "medseg/io/png.h"

namespace medseg {

/// True for the endings .png, .jpg, .jpeg, .tif and .tiff.
bool isPictureName(const std::filesystem::path& path);

/// Pixels as gray or RGB, by content; alpha is dropped, 16 bits are rounded down to 8, palettes become RGB. Of a TIFF
/// the first page. Throws DataError: damaged, missing, other contents.
PngPixels readPicturePixels(const std::filesystem::path& path);

}  // namespace medseg
