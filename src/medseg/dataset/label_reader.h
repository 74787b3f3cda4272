// Labels of a case in one map, whether they lie in one file or in a folder of masks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "medseg/volume/label_map.h"

namespace medseg {

/// Labels of one case.
struct CaseLabels {
    LabelMap map;
    std::int64_t overlapping = 0;  ///< voxels in more than one mask: they have the label of the last one
};

/// What a preparation says of such voxels.
std::string overlapWarning(std::int64_t voxels);

class LabelReader {
  public:
    /// For label files only: values as they are stored.
    LabelReader() = default;
    /// For folders with one mask a structure, NAME.nii.gz: masks get the labels of `structures`. Masks of other names
    /// are an error, or left alone when `ignoreOtherMasks`.
    LabelReader(LabelTable structures, bool ignoreOtherMasks);

    /// Structures of mask folders; empty when labels are files.
    const LabelTable& structures() const { return structures_; }
    bool readsMasks() const { return !structures_.empty(); }

    /// Throws DataError naming both files unless the label file lies on the image's grid. Looks at headers only; the
    /// grids of masks are checked by read().
    void requireGrid(const std::filesystem::path& labels, const Geometry& grid,
                     const std::filesystem::path& image) const;
    /// Throws DataError: damaged files, values that are no labels, masks of another grid than `grid`, that of `image`.
    CaseLabels read(const std::filesystem::path& labels, const Geometry& grid,
                    const std::filesystem::path& image) const;
    /// Bytes of a stored voxel of the labels.
    std::size_t voxelBytes(const std::filesystem::path& labels) const;

  private:
    LabelTable structures_;
    bool ignoreOtherMasks_ = false;
};

}  // namespace medseg
