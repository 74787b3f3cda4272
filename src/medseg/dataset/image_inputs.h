// Which image files a path on the command line stands for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace medseg {

struct ImageInputs {
    std::vector<std::filesystem::path> files;
    bool isFolder = false;  ///< a folder of images was given, be it with a single one
};

/// A file stands for itself, and so does a folder with the DICOM files of one series; of several series each becomes
/// FOLDER/UID, which readImage understands. Another folder stands for its images, sorted by name, and for the ct.nii.gz
/// (TotalSegmentator cases) and the DICOM series of its sub-folders. Throws DataError when nothing is found.
ImageInputs findImageInputs(const std::filesystem::path& path);

/// Name of a case from the path of its image, label map or mask folder: TotalSegmentator's ct.nii.gz is named by its
/// folder, nnU-Net's X_0000 is X.
std::string caseNameOf(const std::filesystem::path& image);

}  // namespace medseg
