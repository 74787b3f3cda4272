#include "medseg/report/panel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

namespace medseg {
namespace {

/// Where pixel centre i of `count` lies among `voxels`: the voxel before it and the weight of the one after it.
struct Sample {
    std::int64_t first = 0;
    std::int64_t second = 0;
    double weight = 0;
};

std::vector<Sample> sampleAxis(std::int64_t count, std::int64_t voxels) {
    std::vector<Sample> samples;
    for (std::int64_t i = 0; i < count; ++i) {
        const double place =
            (static_cast<double>(i) + 0.5) * static_cast<double>(voxels) / static_cast<double>(count) - 0.5;
        const double limited = std::clamp(place, 0.0, static_cast<double>(voxels - 1));
        const auto first = static_cast<std::int64_t>(limited);
        samples.push_back({first, std::min(first + 1, voxels - 1), limited - static_cast<double>(first)});
    }
    return samples;
}

std::uint8_t grayLevel(double value, const Window& window) {
    const double extent = std::max(window.high() - window.low(), std::numeric_limits<double>::min());
    const double unit = (value - window.low()) / extent;
    return unit > 0 ? static_cast<std::uint8_t>(std::lround(255 * std::min(unit, 1.0))) : 0;  // NaN is not above 0
}

int heaviestLabel(const std::array<int, 4>& labels, const std::array<double, 4>& weights) {
    if (labels[0] == labels[1] && labels[0] == labels[2] && labels[0] == labels[3]) return labels[0];
    int best = labels[0];
    double bestWeight = -1;
    for (std::size_t i = 0; i < 4; ++i) {
        double weight = 0;
        for (std::size_t k = 0; k < 4; ++k) weight += labels[k] == labels[i] ? weights[k] : 0;
        if (weight <= bestWeight) continue;
        bestWeight = weight;
        best = labels[i];
    }
    return best;
}

/// Calls paint(x, y, label) for labelled pixels within `outline` of a pixel of another label.
template <typename Paint>
void forEachOutlinePixel(const Plane2D<int>& labels, double outline, Paint paint) {
    const auto reach = static_cast<std::int64_t>(std::ceil(outline));
    for (std::int64_t y = 0; y < labels.rows; ++y)
        for (std::int64_t x = 0; x < labels.columns; ++x) {
            const int label = labels.at(x, y);
            if (label == 0) continue;
            bool edge = false;
            for (std::int64_t dy = -reach; dy <= reach && !edge; ++dy)
                for (std::int64_t dx = -reach; dx <= reach && !edge; ++dx) {
                    if (static_cast<double>(dx * dx + dy * dy) > outline * outline) continue;
                    const std::int64_t nx = x + dx, ny = y + dy;
                    if (nx < 0 || ny < 0 || nx >= labels.columns || ny >= labels.rows) continue;
                    edge = labels.at(nx, ny) != label;
                }
            if (edge) paint(x, y, label);
        }
}

}  // namespace

RgbImage paintGray(const Plane2D<float>& plane, const Window& window, std::int64_t width, std::int64_t height) {
    RgbImage picture(width, height);
    const std::vector<Sample> columns = sampleAxis(width, plane.columns), rows = sampleAxis(height, plane.rows);
    for (std::int64_t y = 0; y < height; ++y)
        for (std::int64_t x = 0; x < width; ++x) {
            const Sample& c = columns[static_cast<std::size_t>(x)];
            const Sample& r = rows[static_cast<std::size_t>(y)];
            const double above = plane.at(c.first, r.first) * (1 - c.weight) + plane.at(c.second, r.first) * c.weight;
            const double below = plane.at(c.first, r.second) * (1 - c.weight) + plane.at(c.second, r.second) * c.weight;
            const std::uint8_t level = grayLevel(above * (1 - r.weight) + below * r.weight, window);
            picture.set(x, y, {level, level, level});
        }
    return picture;
}

Plane2D<int> magnifyLabels(const Plane2D<int>& plane, std::int64_t width, std::int64_t height) {
    Plane2D<int> out{width, height, {}};
    out.values.reserve(static_cast<std::size_t>(width * height));
    const std::vector<Sample> columns = sampleAxis(width, plane.columns), rows = sampleAxis(height, plane.rows);
    for (const Sample& r : rows)
        for (const Sample& c : columns)
            out.values.push_back(heaviestLabel({plane.at(c.first, r.first), plane.at(c.second, r.first),
                                                plane.at(c.first, r.second), plane.at(c.second, r.second)},
                                               {(1 - c.weight) * (1 - r.weight), c.weight * (1 - r.weight),
                                                (1 - c.weight) * r.weight, c.weight * r.weight}));
    return out;
}

void paintLabels(RgbImage& picture, const Plane2D<int>& labels, const std::function<Color(int)>& colorOf,
                 double opacity, double outline) {
    std::unordered_map<int, Color> colors;
    for (std::int64_t y = 0; y < labels.rows; ++y)
        for (std::int64_t x = 0; x < labels.columns; ++x) {
            const int label = labels.at(x, y);
            if (label == 0) continue;
            auto color = colors.find(label);
            if (color == colors.end()) color = colors.emplace(label, colorOf(label)).first;
            picture.blend(x, y, color->second, opacity);
        }
    if (outline > 0)
        forEachOutlinePixel(labels, outline,
                            [&](std::int64_t x, std::int64_t y, int label) { picture.set(x, y, colors.at(label)); });
}

void paintOutlines(RgbImage& picture, const Plane2D<int>& labels, Color color, double outline) {
    forEachOutlinePixel(labels, outline,
                        [&](std::int64_t x, std::int64_t y, int) { picture.blend(x, y, color, 0.85); });
}

void paintDifference(RgbImage& picture, const Plane2D<int>& reference, const Plane2D<int>& prediction) {
    for (std::int64_t y = 0; y < reference.rows; ++y)
        for (std::int64_t x = 0; x < reference.columns; ++x) {
            const int expected = reference.at(x, y), found = prediction.at(x, y);
            if (expected == 0 && found == 0) continue;
            if (expected == found)
                picture.blend(x, y, difference::kAgreed, 0.25);
            else
                picture.blend(x, y,
                              found == 0      ? difference::kMissed
                              : expected == 0 ? difference::kExtra
                                              : difference::kConfused,
                              0.85);
        }
}

double sliceDice(const Plane2D<int>& reference, const Plane2D<int>& prediction) {
    struct Counts {
        std::int64_t both = 0;
        std::int64_t sum = 0;
    };
    std::map<int, Counts> counts;
    for (std::size_t i = 0; i < reference.values.size(); ++i) {
        const int expected = reference.values[i], found = prediction.values[i];
        if (expected != 0) ++counts[expected].sum;
        if (found != 0) ++counts[found].sum;
        if (expected != 0 && expected == found) ++counts[expected].both;
    }
    double total = 0;
    for (const auto& [label, count] : counts)
        total += 2.0 * static_cast<double>(count.both) / static_cast<double>(count.sum);
    return counts.empty() ? std::numeric_limits<double>::quiet_NaN() : total / static_cast<double>(counts.size());
}

}  // namespace medseg
