// Training volumes on disk, ready to be cut into patches: windowed, of one voxel size, uncompressed, memory-mapped.
//
// Folder of a cache (written by prepareVolumes):
//   manifest.json        form "volumes", its parameters (spacing, window, labels), every case with its inputs by hash
//   label_map.json       structure name -> output channel (label id - 1)
//   images/CASE.npy      float16 (z, y, x), values 0..1, on networkGrid()
//   labels/CASE.npy      uint8 (uint16 above 255 labels) (layers, z, y, x), values 0..n
//   foreground/CASE.npy  uint32: voxel numbers (x fastest) of each label in ascending order, label after label, at most
//                        kForegroundVoxels a label, spread over all of its voxels
//   cases/CASE.json      what manifest.json says of the case; lets an interrupted run go on
//   contact_sheet.png    some slices of every case with their labels
// The .npy files are plain numpy arrays whose data start at a multiple of 64 bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/dataset/volume_format.h"

namespace medseg {

inline constexpr int kVolumeCacheVersion = 1;
inline constexpr const char* kVolumeCacheForm = "volumes";
inline constexpr std::int64_t kForegroundVoxels = 10000;

/// What the manifest says of one case.
struct CachedVolume {
    std::string id;
    Geometry grid;                         ///< of the stored arrays
    Geometry source;                       ///< of the source image
    int layers = 1;                        ///< label layers
    std::vector<std::int64_t> voxels;      ///< of each label id, in all layers; [0] background of layer 0
    std::vector<std::int64_t> foreground;  ///< voxel numbers stored for each label id; [0] is 0
};

/// Names of a cache's files.
struct VolumeCachePaths {
    std::filesystem::path root;

    std::filesystem::path manifest() const { return root / "manifest.json"; }
    std::filesystem::path labelMap() const { return root / "label_map.json"; }
    std::filesystem::path image(const std::string& id) const { return root / "images" / (id + ".npy"); }
    std::filesystem::path labels(const std::string& id) const { return root / "labels" / (id + ".npy"); }
    std::filesystem::path foreground(const std::string& id) const { return root / "foreground" / (id + ".npy"); }
};

/// Read access to a prepared cache. Thread-safe.
class VolumeCache {
  public:
    /// Throws DataError when the folder is no volume cache, was written by another version, or a file does not have the
    /// type, shape or length that the manifest promises.
    explicit VolumeCache(const std::filesystem::path& directory);

    const std::filesystem::path& directory() const { return paths_.root; }
    const VolumeFormat& format() const { return format_; }
    const LabelTable& labels() const { return format_.labels; }
    std::int64_t caseCount() const { return static_cast<std::int64_t>(cases_.size()); }
    const CachedVolume& caseAt(std::int64_t index) const { return open(index).record; }
    /// Ids in the order of the manifest.
    std::vector<std::string> caseIds() const;
    /// Index of the case, -1 if there is none of that id.
    std::int64_t findCase(const std::string& id) const;
    /// Largest number of label layers of any case.
    int layerCount() const { return layerCount_; }

    /// Half-precision voxels, x fastest.
    std::span<const std::uint16_t> imageHalf(std::int64_t index) const;
    /// Label values of one layer as stored, labelBytes() each, x fastest; empty if the case has fewer layers.
    std::span<const std::uint8_t> labelBytes(std::int64_t index, int layer) const;
    /// Voxel numbers of a label (1..n), ascending; empty where the case does not show it. They are as the file has
    /// them: in a damaged one they may lie outside the volume.
    std::span<const std::uint32_t> foreground(std::int64_t index, int label) const;

  private:
    struct OpenCase {
        CachedVolume record;
        MappedFile image, labels, foreground;
        std::size_t imageOffset = 0, labelOffset = 0;
        std::vector<const std::uint32_t*> firstVoxel{};  ///< of each label id
    };
    const OpenCase& open(std::int64_t index) const { return cases_[static_cast<std::size_t>(index)]; }
    void openCase(const CachedVolume& record);

    VolumeCachePaths paths_;
    VolumeFormat format_;
    std::vector<OpenCase> cases_;
    int layerCount_ = 1;
};

}  // namespace medseg
