// The files that preparations write, as an image with labels to look at.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "medseg/report/overlay.h"

namespace medseg {

/// An image with its labels, rows and columns as they lie in the file.
struct PreparedPicture {
    std::string name{};  ///< the file's stem
    std::filesystem::path file{};
    Volume<float> image{};
    std::optional<LabelMap> labels{};
    std::optional<Window> window{};  ///< of the image's values, where the form fixes them
    bool isOriented = false;         ///< whether the file says how it lies in the patient
    bool isSized = false;            ///< whether it says how large its voxels are

    OverlayCase overlay() const;
};

/// Reads
/// - MedSAM's volumes NAME.npz (imgs, gts, spacing) and slices imgs/NAME-000.npy (with gts/NAME-000.npy beside them),
/// - SAM 3D's slices NAME.npz (image, mask) and distances NAME_sdf.npy (labels: where a class's distance is negative),
/// - the U-Net's slices images/CASE.npy (with labels/CASE.npy and cache.json beside them; the first layer of labels).
/// Nothing for any other file. Throws DataError when such a file is damaged.
std::optional<PreparedPicture> readPreparedFile(const std::filesystem::path& path);

}  // namespace medseg
