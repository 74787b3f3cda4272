// MetaImage volumes: .mha, and .mhd with a data file beside it. Format: https://itk.org/Wiki/MetaIO/Documentation.
// Usually reached through image_file.h.
#pragma once

#include <filesystem>

#include "medseg/io/deflate.h"
#include "medseg/io/image_file.h"

namespace medseg {

bool isMetaImageName(const std::filesystem::path& path);
/// True if `bytes` start like a MetaImage header.
bool looksLikeMetaImage(ByteSpan bytes);

/// Two to four axes (the fourth counts volumes); channels of a voxel count volumes too. Raw and zlib-compressed voxels;
/// a data file must lie in the header's folder. Throws DataError.
ImageHeader readMetaImageHeader(const std::filesystem::path& path);
StoredImage readMetaImage(const std::filesystem::path& path, const ReadOptions& options);

/// Writes atomically, zlib-compressed (.mhd: voxels in NAME.zraw). Throws WorkError.
void writeMetaImage(const std::filesystem::path& path, const AnyVolume& volume, int level);

}  // namespace medseg
