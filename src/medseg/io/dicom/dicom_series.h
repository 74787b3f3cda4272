// DICOM series as volumes.
#pragma once

#include <vector>

#include "medseg/io/dicom/series_grid.h"
#include "medseg/io/formats_module.h"

namespace medseg::dicom {

struct Series {
    DicomSeriesSummary summary;
    std::vector<DicomFile> files;

    bool isImage() const;  ///< not a segmentation or structure set
};

/// The files of a folder (dicom_paths.h: with its sub-folders when it holds none itself) by series: images first, then
/// segmentations and structure sets, each in the order of SeriesNumber and UID. Files that are no images, segmentations
/// or structure sets are left out. Throws DataError when nothing remains.
std::vector<Series> findSeries(const std::filesystem::path& folder);

/// The one that `wanted` names (a number from 1, or a UID). Without `wanted`, the only series with images (the only
/// series, if there are no images). Throws DataError that lists the series.
Series chooseSeries(std::vector<Series> all, const std::string& wanted, const std::filesystem::path& folder);

/// `source` is named in messages.
ImageHeader imageHeader(const std::vector<DicomFile>& files, const ReadOptions& options, const std::string& source);
StoredImage readImages(const std::vector<DicomFile>& files, const ReadOptions& options, const std::string& source);

}  // namespace medseg::dicom
