// The slices that MedSAM trains on: imgs/NAME-NNN.npy (rows, columns, 3) and gts/NAME-NNN.npy (rows, columns).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// One slice of the folder.
struct PromptSlice {
    std::string caseId;       ///< NAME
    std::int64_t number = 0;  ///< NNN
    std::filesystem::path image;
    std::filesystem::path labels;
    std::map<int, std::int64_t> pixels;  ///< of each label on it; never empty

    std::string name() const { return labels.stem().string(); }
};

/// A mask of one label and the box around it.
struct PromptTarget {
    int label = 0;
    std::array<double, 4> box{};     ///< x0, y0, x1, y1: first and last pixel
    std::vector<std::uint8_t> mask;  ///< 1 inside; rows * columns, row 0 first
};

/// One channel of an image slice in bytes, row 0 first.
struct GrayPicture {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::vector<std::uint8_t> pixels;
};

class PromptSliceFolder {
  public:
    /// `folder` holds imgs and gts, or npy/imgs and npy/gts. Reads all labels; slices without any are left out. Throws
    /// DataError: folders or partners missing, other types, sizes that differ.
    explicit PromptSliceFolder(const std::filesystem::path& folder);

    /// True if there is such a folder at `folder`.
    static bool isAt(const std::filesystem::path& folder);

    const std::vector<PromptSlice>& slices() const { return slices_; }  ///< sorted by case and number
    std::int64_t rows() const { return rows_; }
    std::int64_t columns() const { return columns_; }
    const std::filesystem::path& folder() const { return folder_; }

    /// Channels, rows, columns; 0..1. Bytes are divided by 255. Throws DataError.
    std::vector<float> readImage(std::size_t slice) const;
    /// First channel of an image of bytes (form medsam2), whose size may differ from that of the labels. Throws
    /// DataError.
    GrayPicture readGray(std::size_t slice) const;
    /// rows * columns label ids. Throws DataError.
    std::vector<std::uint8_t> readLabels(std::size_t slice) const;

    /// The mask of `label` in label ids of one slice.
    PromptTarget target(const std::vector<std::uint8_t>& labels, int label) const;

  private:
    std::filesystem::path folder_;
    std::vector<PromptSlice> slices_;
    std::int64_t rows_ = 0;
    std::int64_t columns_ = 0;
};

/// Moves each side of the box outwards by a whole number of pixels from 0 to `most`, within the image.
void jitterBox(std::array<double, 4>& box, std::int64_t most, std::int64_t rows, std::int64_t columns, Random& random);

/// Indices of slices that train and validate, ascending.
struct PromptSliceSplit {
    bool bySlice = false;
    std::vector<std::size_t> training, validation;
};

/// By case where settings.split says so, or "auto" and there are several cases; else every hold_out_every-th slice of
/// each case, or a seeded share. Test cases of the settings are left out. Throws UsageError when nothing is left to
/// train on.
PromptSliceSplit splitPromptSlices(const PromptSliceFolder& folder, const DataSettings& settings, std::uint64_t seed);

/// Case id or, by slice, names of the slices that validate.
void writePromptSplit(const std::filesystem::path& file, const PromptSliceSplit& split,
                      const PromptSliceFolder& folder);

}  // namespace medseg
