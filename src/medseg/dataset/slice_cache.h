// Training slices on disk, ready to be used: windowed, resized, uncompressed, memory-mapped.
//
// Folder of a cache:
//   cache.json        what was prepared and how: version, slice plane, size, window, labels, cases with geometry
//   label_map.json    structure name -> output channel (label id - 1)
//   images/CASE.npy   float16 (slices, height, width), values 0..1
//   labels/CASE.npy   uint8 (uint16 above 255 labels) (layers, slices, height, width), values 0..n
//   counts/CASE.npy   uint32 (slices, n + 1): pixels of each label in each prepared slice; [0] background of layer 0
//   cases/CASE.json   what cache.json says of the case, with the fingerprint that lets an interrupted run go on
// The .npy files are plain numpy arrays whose data start at a multiple of 64 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/dataset/slice_plan.h"
#include "medseg/volume/geometry.h"
#include "medseg/volume/label_map.h"

namespace medseg {

inline constexpr int kSliceCacheVersion = 1;

/// What all slices of a cache have in common.
struct SliceFormat {
    SliceAxis axis = SliceAxis::Axial;
    std::int64_t height = 256, width = 256;
    std::array<double, 2> window{-200, 300};  ///< values mapped to 0 and 1
    LabelTable labels;                        ///< ids 1..n; network channel = id - 1

    std::int64_t pixelCount() const { return height * width; }
    /// Bytes of a label value: 1, or 2 above 255 labels.
    int labelBytes() const { return labels.size() <= 255 ? 1 : 2; }
};

/// What cache.json says of one case.
struct CachedCase {
    std::string id;
    std::string fingerprint;
    std::string image;                       ///< source file
    Geometry geometry;                       ///< of the source image
    std::vector<std::int64_t> sourceSlices;  ///< slice of the SlicePlan that each prepared slice comes from
    int layers = 1;

    std::int64_t sliceCount() const { return static_cast<std::int64_t>(sourceSlices.size()); }
};

/// Names of a cache's files.
struct SliceCachePaths {
    std::filesystem::path root;

    std::filesystem::path manifest() const { return root / "cache.json"; }
    std::filesystem::path labelMap() const { return root / "label_map.json"; }
    std::filesystem::path image(const std::string& id) const { return root / "images" / (id + ".npy"); }
    std::filesystem::path labels(const std::string& id) const { return root / "labels" / (id + ".npy"); }
    std::filesystem::path counts(const std::string& id) const { return root / "counts" / (id + ".npy"); }
    std::filesystem::path caseRecord(const std::string& id) const { return root / "cases" / (id + ".json"); }
};

/// Read access to a prepared cache. Thread-safe. Slices are numbered through: those of case 0, then those of case 1 ...
class SliceCache {
  public:
    /// Throws DataError when the folder is no cache, was written by another version, or a file does not have the size
    /// that cache.json promises.
    explicit SliceCache(const std::filesystem::path& directory);

    const std::filesystem::path& directory() const { return paths_.root; }
    const SliceFormat& format() const { return format_; }
    const LabelTable& labels() const { return format_.labels; }
    std::int64_t caseCount() const { return static_cast<std::int64_t>(cases_.size()); }
    const CachedCase& caseAt(std::int64_t index) const { return cases_[static_cast<std::size_t>(index)].record; }
    /// Index of the case, -1 if there is none of that id.
    std::int64_t findCase(const std::string& id) const;
    std::int64_t sliceCount() const { return firstSlice_.back(); }
    /// Number of the first slice of a case.
    std::int64_t firstSliceOf(std::int64_t caseIndex) const { return firstSlice_[static_cast<std::size_t>(caseIndex)]; }
    /// Case that a slice belongs to.
    std::int64_t caseOf(std::int64_t slice) const;
    /// Slice of the source volume (SlicePlan's count) that a slice was made from.
    std::int64_t sourceSliceOf(std::int64_t slice) const;
    /// Largest number of label layers of any case.
    int layerCount() const { return layerCount_; }

    /// height * width half-precision values, rows from top to bottom as SlicePlan defines them.
    std::span<const std::uint16_t> imageHalf(std::int64_t slice) const;
    /// The image as float.
    void copyImage(std::int64_t slice, float* out) const;
    /// Label values of one layer as stored, labelBytes() each; empty if the case has fewer layers.
    std::span<const std::uint8_t> labelBytes(std::int64_t slice, int layer) const;
    /// Pixels of each label: n + 1 values, index = label id.
    std::span<const std::uint32_t> labelCounts(std::int64_t slice) const;

  private:
    struct OpenCase {
        CachedCase record;
        MappedFile image, labels, counts;
        std::size_t imageOffset = 0, labelOffset = 0, countOffset = 0;  ///< of the data in the files
    };
    struct Place {
        const OpenCase* open;
        std::int64_t slice;
    };
    Place locate(std::int64_t slice) const;
    void openCase(const CachedCase& record);

    SliceCachePaths paths_;
    SliceFormat format_;
    std::vector<OpenCase> cases_;
    std::vector<std::int64_t> firstSlice_{0};
    int layerCount_ = 1;
};

}  // namespace medseg
