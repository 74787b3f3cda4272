// TIFF and JPEG pictures as volumes. They say nothing about places: identity affine, row 0 first.
#pragma once

#include <filesystem>

#include "medseg/io/image_file.h"
#include "medseg/io/png.h"

namespace medseg::picture {

/// Gray TIFF of 8 to 64-bit integers or floats; pages of one size are slices. Colours are named in the header and
/// refused as voxels. Throws DataError.
ImageHeader tiffHeader(const std::filesystem::path& path);
StoredImage readTiff(const std::filesystem::path& path);
/// The first page as RGB. Throws DataError.
PngPixels tiffPixels(const std::filesystem::path& path);
/// One page for each slice, deflated. Throws WorkError.
void writeTiff(const std::filesystem::path& path, const AnyVolume& volume);

/// Gray 8-bit JPEG. Throws DataError, also for pictures that end early.
ImageHeader jpegHeader(const std::filesystem::path& path);
StoredImage readJpeg(const std::filesystem::path& path);
/// Gray or RGB. Throws DataError, also for colours that libjpeg cannot turn into RGB (CMYK).
PngPixels jpegPixels(const std::filesystem::path& path);
/// One uint8 slice at quality 95. Throws UsageError for anything else, WorkError.
void writeJpeg(const std::filesystem::path& path, const AnyVolume& volume);

/// Header of `width` x `height` x `pages` pixels of `type`, identity affine.
ImageHeader pictureHeader(const std::string& format, const Index3& size, const std::string& type);

}  // namespace medseg::picture
