// NIfTI files: .nii, .nii.gz, and .hdr with .img (each also .gz). Usually reached through image_file.h.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "medseg/io/nifti_header.h"
#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// What precedes the voxels.
struct NiftiInfo {
    NiftiHeader header;
    std::vector<NiftiExtension> extensions;
    LabelTable labels;  ///< from the first extension with a label table
};

/// Header and extensions; the voxels may be missing or damaged. `path` may name the .hdr or the .img of a pair. Throws
/// DataError.
NiftiInfo readNiftiInfo(const std::filesystem::path& path);

struct NiftiImage {
    NiftiInfo info;
    AnyVolume voxels;  ///< native byte order, before slope and inter
};

/// Reads volume `volumeIndex` (0-based). Every checksum of a compressed file is checked. Throws DataError: damaged or
/// truncated file, RGB, complex or float128 voxels, no such volume, or a file of several volumes without an index. With
/// `stackVolumes` all volumes are read, one behind the other along z.
NiftiImage readNifti(const std::filesystem::path& path, std::optional<int> volumeIndex, bool stackVolumes = false);

struct NiftiWriteOptions {
    int compressionLevel = 1;
    std::vector<NiftiExtension> extensions;
};

/// Writes atomically: NIfTI-1, or NIfTI-2 when a size exceeds 32767. The ending of `path` decides between single file
/// and pair, compressed and not. Throws WorkError.
void writeNifti(const std::filesystem::path& path, const AnyVolume& volume, const NiftiWriteOptions& options);
void writeNifti(const std::filesystem::path& path, const Volume<std::uint8_t>& volume,
                const NiftiWriteOptions& options);
void writeNifti(const std::filesystem::path& path, const Volume<std::uint16_t>& volume,
                const NiftiWriteOptions& options);

/// The extension that carries a label table.
NiftiExtension labelExtension(const LabelTable& table);

bool isNiftiName(const std::filesystem::path& path);

}  // namespace medseg
