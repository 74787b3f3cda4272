// Closed planar contours as voxels.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace medseg::dicom {

using Point2 = std::array<double, 2>;

/// Toggles every pixel of `mask` (width x height, row by row) whose centre, at whole coordinates, lies inside the
/// closed polygon by the even-odd rule. Borders belong to the polygon on their left and upper side only, so that
/// polygons which share an edge share no pixel. Toggling several contours of one region gives its holes.
void togglePolygon(std::span<const Point2> polygon, std::int64_t width, std::int64_t height,
                   std::vector<std::uint8_t>& mask);

}  // namespace medseg::dicom
