// Which image files a path on the command line stands for.
#pragma once

#include <filesystem>
#include <vector>

namespace medseg {

struct ImageInputs {
    std::vector<std::filesystem::path> files;
    bool isFolder = false;  ///< a folder was given, be it with a single image
};

/// A file stands for itself. A folder stands for its images, sorted by name, and for the ct.nii.gz of its sub-folders
/// (TotalSegmentator cases). Throws DataError when nothing is found.
ImageInputs findImageInputs(const std::filesystem::path& path);

}  // namespace medseg
