// One door for every image format: readers and writers are found by file name and content, not by the caller.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// What a file holds besides its voxels.
struct ImageHeader {
    std::string format;               ///< "NIfTI-1", "NIfTI-2", "NIfTI-1 pair", "NRRD", "DICOM CT" ...
    Geometry geometry;                ///< size, affine (RAS+ mm); npy, npz and PNG have identity
    std::vector<std::int64_t> shape;  ///< all dimensions, first array axis (x) first: 4 entries for a 4D file
    std::string storedType;           ///< numpy name of the stored type: "int16", "float32" ...
    double slope = 1;                 ///< value = stored * slope + inter; 1 and 0 when the file says nothing valid
    double inter = 0;
    bool hasScaling = false;         ///< slope/inter differ from 1/0
    LabelTable labels;               ///< from a label extension (TotalSegmentator's XML, seg.nrrd), else empty
    std::vector<std::string> notes;  ///< what else a person should know: DICOM series, gantry tilt ...
};

struct ReadOptions {
    /// Which volume of a 4D file; without it a 4D file with more than one volume is an error that says so.
    std::optional<int> volumeIndex;
    /// All volumes of a 4D file at once, one behind the other along z (for statistics; the affine is that of the
    /// first).
    bool stackVolumes = false;
    /// DICOM folders: which series, by its number in the list that the error without it prints (from 1) or by UID.
    std::string series{};
    /// DICOM series with missing slices: interpolate at even distances instead of refusing them.
    bool allowGaps = false;
    /// DICOM segmentations and structure sets: the image whose grid they are put on. Structure sets need it unless
    /// their series lies in the same folder.
    std::filesystem::path reference{};
    /// DICOM segmentations and structure sets: only these, by name or number; empty: all.
    std::vector<std::string> segments{};
};

/// A folder with DICOM files is an image: one series (dicom_paths.h: STUDY/2 names the second series of STUDY).
/// npy and npz: the last three axes are (z, y, x), axes before them count volumes; an npz must hold one array.
/// PNG and JPEG: one gray slice, row 0 first. TIFF: a gray slice for each page.

/// Reads the header only; the file's data may be damaged. Throws DataError.
ImageHeader readImageHeader(const std::filesystem::path& path, const ReadOptions& options = {});

struct StoredImage {
    ImageHeader header;
    AnyVolume voxels;  ///< as stored, before slope and inter
};

/// Reads header and voxels. Throws DataError (missing, damaged, unsupported: RGB, complex, object arrays), always with
/// the file's name, before any allocation larger than the file can justify.
StoredImage readStoredImage(const std::filesystem::path& path, const ReadOptions& options = {});

/// Values after slope and inter, as float. HU for CT.
Volume<float> readImage(const std::filesystem::path& path, const ReadOptions& options = {});

/// A label map; label names from the file when it carries them. Throws DataError on values that are no labels.
LabelMap readLabelMap(const std::filesystem::path& path, const ReadOptions& options = {});

/// stored * slope + inter, as float (computed in double).
Volume<float> scaledToFloat(const AnyVolume& stored, double slope, double inter);

/// numpy's name of the voxel type: "uint8", "float32" ...
std::string voxelTypeName(const AnyVolume& volume);

struct WriteOptions {
    int compressionLevel = 1;  ///< 1 (fast) .. 12 (small) for .gz and deflated npz
};

/// Writes atomically; the format follows from the name (.nii, .nii.gz, .hdr/.img, .nrrd, .nhdr, .mha,
/// .mhd, .npy, .npz, .tif, .png and .jpg for single slices). Throws UsageError for an unknown ending, WorkError when
/// writing fails.
void writeImage(const std::filesystem::path& path, const AnyVolume& volume, const WriteOptions& options = {});
/// Label table goes into the file where the format can carry it (NIfTI: XML header extension as TotalSegmentator
/// writes).
void writeLabelMap(const std::filesystem::path& path, const LabelMap& labels, const WriteOptions& options = {});

/// Throws UsageError, listing the endings, unless writeImage knows the ending of `path`.
void requireImageName(const std::filesystem::path& path);
/// True if the name ends like an image that readImage can read.
bool isImageName(const std::filesystem::path& path);
/// True for PNG and JPEG: beside volumes they are previews.
bool isPreviewName(const std::filesystem::path& path);
/// File name without its image ending: "s0000_0000.nii.gz" -> "s0000_0000".
std::string imageStem(const std::filesystem::path& path);

}  // namespace medseg
