// Finding DICOM files and folders without opening the DICOM library.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace medseg {

/// True if the file carries DICOM's mark ("DICM" behind 128 bytes), or is named .dcm or .ima.
bool isDicomFile(const std::filesystem::path& path);

/// The DICOM files in `folder`, sorted by name; without any, those of its sub-folders (8 levels deep). A DICOMDIR index
/// is left out. Throws DataError when a folder cannot be listed, or for more than 200,000 files.
std::vector<std::filesystem::path> dicomFilesIn(const std::filesystem::path& folder);

/// True if a DICOM file lies directly in `folder`.
bool isDicomFolder(const std::filesystem::path& folder);
/// True if a DICOM file lies in `folder` or below, up to 8 levels deep.
bool holdsDicom(const std::filesystem::path& folder);

/// A series inside a folder can be named like a sub-folder: STUDY/2 (the second of the series) or STUDY/<UID>.
struct DicomSeriesPath {
    std::filesystem::path folder;
    std::string series;  ///< as ReadOptions::series
};
/// Nothing if `path` exists, or its parent is no folder with DICOM files, or its name is not made of digits and dots.
std::optional<DicomSeriesPath> asDicomSeriesPath(const std::filesystem::path& path);

}  // namespace medseg
