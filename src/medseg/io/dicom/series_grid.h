// From slices in any order to a grid: sorting by place, spacing from places, gantry tilt, gaps, repeats.
#pragma once

#include <string>
#include <vector>

#include "medseg/io/dicom/dicom_file.h"

namespace medseg::dicom {

/// What one slice of the grid is made of: frame `first`, or between two frames of a series with gaps.
struct GridSlice {
    std::size_t first = 0, second = 0;  ///< indices into SeriesGrid::frames
    double secondShare = 0;             ///< weight of the second, 0..1
};

struct SeriesGrid {
    Geometry geometry;  ///< RAS+; the third axis runs along the normal of the slices, sheared if they are tilted
    std::vector<Frame> frames;      ///< sorted by place, within a place by time
    std::vector<GridSlice> slices;  ///< volume by volume, nz for each
    std::int64_t volumes = 1;       ///< time points, echoes ... at the same places
    double tiltDegrees = 0;         ///< between the normal of the slices and the direction in which they are stacked
    std::vector<std::string> notes;
};

/// `files`: images of one series. Spacing is the distance of neighbouring places, never SliceThickness. Throws
/// DataError, naming `source`, for: slices of different sizes, spacings or directions; several slices without a place;
/// places that hold different numbers of images; uneven distances (unless `allowGaps`: then slices are interpolated at
/// even distances). Places may deviate from the even grid by 5 % of the spacing.
SeriesGrid arrangeSeries(const std::vector<DicomFile>& files, bool allowGaps, const std::string& source);

/// Cross product of the two directions.
Vec3 normalOf(const Frame& frame);
/// Voxel (column, row, slice) to RAS+ from the first frame and the step from slice to slice (LPS mm).
Geometry gridGeometry(const Frame& first, const Vec3& step, const PixelLayout& pixels, std::int64_t slices);

}  // namespace medseg::dicom
