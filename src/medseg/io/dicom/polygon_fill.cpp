#include "medseg/io/dicom/polygon_fill.h"

#include <algorithm>
#include <cmath>

namespace medseg::dicom {

void togglePolygon(std::span<const Point2> polygon, std::int64_t width, std::int64_t height,
                   std::vector<std::uint8_t>& mask) {
    if (polygon.size() < 3) return;
    const auto [lowest, highest] = std::minmax_element(polygon.begin(), polygon.end(),
                                                       [](const Point2& a, const Point2& b) { return a[1] < b[1]; });
    const double bottom = std::max(0.0, std::ceil((*lowest)[1]));
    const double top = std::min(static_cast<double>(height - 1), std::floor((*highest)[1]));
    std::vector<double> crossings;
    for (double y = bottom; y <= top; ++y) {
        crossings.clear();
        for (std::size_t i = 0; i < polygon.size(); ++i) {
            const Point2 &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
            if ((a[1] <= y) == (b[1] <= y)) continue;
            crossings.push_back(a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
        }
        std::sort(crossings.begin(), crossings.end());
        std::uint8_t* row = mask.data() + static_cast<std::int64_t>(y) * width;
        for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
            const double first = std::max(0.0, std::ceil(crossings[i]));
            const double end = std::min(static_cast<double>(width), std::ceil(crossings[i + 1]));
            for (double x = first; x < end; ++x) row[static_cast<std::int64_t>(x)] ^= 1;
        }
    }
}

}  // namespace medseg::dicom
