// Images and labels in two folders, matched by name.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace medseg {

struct ImageLabelPair {
    std::string id;  ///< name of both files without the suffixes
    std::filesystem::path image;
    std::filesystem::path label;
};

struct PairSearch {
    std::vector<ImageLabelPair> pairs;                ///< sorted by label name, byte by byte (as Python sorts)
    std::vector<std::filesystem::path> lonelyLabels;  ///< without an image
    std::vector<std::filesystem::path> lonelyImages;  ///< without a label
};

/// Labels are the files of `labels` that end with `labelSuffix`, their images have the same name with `imageSuffix`.
/// Where both are in one folder, names that end with the longer suffix belong to it. Throws DataError when a folder is
/// missing or when there is no pair at all.
PairSearch findImageLabelPairs(const std::filesystem::path& images, const std::string& imageSuffix,
                               const std::filesystem::path& labels, const std::string& labelSuffix);

}  // namespace medseg
