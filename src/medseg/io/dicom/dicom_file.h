// What a DICOM file says about its images, before any pixel is decoded.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/io/dicom/dicom_data.h"

namespace medseg::dicom {

/// One slice: an image, or a frame of a multi-frame image. Coordinates are DICOM's own: LPS+ millimetres.
struct Frame {
    std::size_t file = 0;          ///< index into the files it was collected from
    int index = 0;                 ///< of the frame inside its file
    std::optional<Vec3> position;  ///< centre of the first pixel
    Vec3 alongRow{1, 0, 0};        ///< direction in which the column index grows
    Vec3 alongColumn{0, 1, 0};     ///< direction in which the row index grows
    double columnSpacing = 1;      ///< mm between neighbours along a row
    double rowSpacing = 1;         ///< mm between rows
    double slope = 1, inter = 0;   ///< value = stored * slope + inter
    /// Orders several images of one place: temporal position, acquisition, instance number.
    std::array<int, 3> order{};
    int segment = 0;  ///< ReferencedSegmentNumber, of segmentations
};

struct PixelLayout {
    int rows = 0, columns = 0, frames = 0;
    int samples = 1;  ///< 3 for colours
    int bitsAllocated = 0, bitsStored = 0;
    bool isSigned = false;
    std::string photometric;  ///< "MONOCHROME2" ...
};

struct DicomFile {
    std::filesystem::path path;
    std::string sopClass, sopInstance, series, transferSyntax;  ///< UIDs
    std::string modality, description;
    int seriesNumber = 0;
    bool isMosaic = false;
    bool hasOrientation = false;
    PixelLayout pixels;        ///< frames == 0: not an image
    double sliceDistance = 0;  ///< SpacingBetweenSlices, else SliceThickness, else 0
    std::vector<Frame> frames;

    bool isSegmentation() const;
    bool isStructureSet() const;
};

/// Throws DataError: missing, damaged, not DICOM, impossible sizes.
DicomFile readDicomFile(const std::filesystem::path& path);

}  // namespace medseg::dicom
