// Cases for overlays, found by file name and read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/dataset/image_inputs.h"
#include "medseg/report/overlay.h"

namespace medseg {

/// Files of one case. `reference` and `prediction` may be empty; each is a label map or a folder of masks, one
/// <structure>.nii.gz each.
struct OverlayFiles {
    std::string name;
    std::filesystem::path image;
    std::filesystem::path reference;
    std::filesystem::path prediction;
};

/// Pairs images with segmentations. Each of the three is a file or a folder. A folder of images holds image files, or
/// case folders with ct.nii.gz (or mri.nii.gz) in them. The case's name is the file's stem without "_0000", or the case
/// folder's name; below a folder of segmentations NAME.<ending>, NAME/segmentations or NAME (a folder of masks) belong
/// to it. Throws DataError when something is missing, naming what was looked for.
std::vector<OverlayFiles> findOverlayFiles(const std::filesystem::path& images, const std::filesystem::path& references,
                                           const std::filesystem::path& predictions);

struct LabelChoice {
    /// Names for label maps that carry none: "totalsegmentator" or empty.
    std::string nameList;
    /// Only these structures are shown, by name or id; empty: all.
    std::vector<std::string> structures;
};

struct SegmentationPair {
    std::optional<LabelMap> reference;
    std::optional<LabelMap> prediction;
};

/// Reads reference and prediction (each a label map, a folder of masks, or empty) and applies the choice. Names of one
/// side serve for both where the other has none; of masks that overlap, the first keeps the voxel. With `image`, masks
/// must have its grid, else that of the first mask. Throws DataError for missing or damaged files and differing grids,
/// UsageError for unknown structures.
SegmentationPair readSegmentations(const std::filesystem::path& reference, const std::filesystem::path& prediction,
                                   const LabelChoice& choice, const std::filesystem::path& image = {});

/// A case in memory. overlay() points into it.
class LoadedCase {
  public:
    /// Throws as readSegmentations and readImage.
    LoadedCase(const OverlayFiles& files, const LabelChoice& choice);

    OverlayCase overlay() const;

  private:
    OverlayFiles files_;
    bool isPicture_;  ///< PNG, JPEG, TIFF: pixels without a place in a patient
    Volume<float> image_;
    SegmentationPair segmentations_;
};

/// A copy in which only the wanted structures (names or ids) remain. Throws UsageError, naming `source`, for a name
/// that the label table does not have.
LabelMap keepStructures(const LabelMap& labels, const std::vector<std::string>& wanted, const std::string& source);

}  // namespace medseg
