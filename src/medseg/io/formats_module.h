// The wall between libmedseg and libmedseg_formats, which holds what needs large foreign libraries: DICOM (GDCM), TIFF
// (libtiff) and JPEG (libjpeg). Reached through image_file.h; opened on the first such file, so that commands on other
// files start at once.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "medseg/io/image_file.h"
#include "medseg/io/png.h"

namespace medseg {

/// One DICOM series with images.
struct DicomSeriesSummary {
    std::string uid;          ///< SeriesInstanceUID
    std::string description;  ///< SeriesDescription, printable
    std::string modality;     ///< "CT", "MR", "SEG" ...
    int number = 0;           ///< SeriesNumber, 0 when missing
    std::size_t images = 0;   ///< slices or frames
};

class FormatsModule {
  public:
    virtual ~FormatsModule() = default;

    /// `path`: a DICOM file (slice, enhanced multi-frame image, segmentation, structure set) or a folder with a series.
    /// Throws DataError.
    virtual ImageHeader readDicomHeader(const std::filesystem::path& path, const ReadOptions& options) = 0;
    virtual StoredImage readDicom(const std::filesystem::path& path, const ReadOptions& options) = 0;
    /// The series with images below `folder`, in the order of --series' numbers (1 is the first). Throws DataError.
    virtual std::vector<DicomSeriesSummary> listDicomSeries(const std::filesystem::path& folder) = 0;

    /// TIFF or JPEG, by content. Throws DataError.
    virtual ImageHeader readPictureHeader(const std::filesystem::path& path) = 0;
    virtual StoredImage readPicture(const std::filesystem::path& path) = 0;
    /// TIFF or JPEG, by content, as 8-bit gray or RGB; of a TIFF the first page. Throws DataError.
    virtual PngPixels readPixels(const std::filesystem::path& path) = 0;
    /// Writes atomically what the ending says (.tif, .tiff, .jpg, .jpeg). Throws UsageError for voxels the format
    /// cannot hold, WorkError.
    virtual void writePicture(const std::filesystem::path& path, const AnyVolume& volume) = 0;
};

bool isTiffName(const std::filesystem::path& path);
bool isJpegName(const std::filesystem::path& path);

/// Opens libmedseg_formats on first use. Throws WorkError when it was not built or a library it needs is missing.
FormatsModule& loadFormatsModule();

}  // namespace medseg
