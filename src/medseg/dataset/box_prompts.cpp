#include "medseg/dataset/box_prompts.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace medseg {
namespace {

struct Extent {
    std::int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0, pixels = 0;

    void add(std::int64_t x, std::int64_t y) {
        if (pixels == 0) {
            x0 = x1 = x;
            y0 = y1 = y;
        } else {
            x0 = std::min(x0, x);
            x1 = std::max(x1, x);
            y1 = y;  // rows ascend
        }
        ++pixels;
    }
};

PixelBox widened(const Extent& e, double shift, BoxLimit limit, std::int64_t width, std::int64_t height) {
    const std::int64_t last = limit == BoxLimit::Size ? 0 : 1;
    return {std::max(0.0, static_cast<double>(e.x0) - shift), std::max(0.0, static_cast<double>(e.y0) - shift),
            std::min(static_cast<double>(width - last), static_cast<double>(e.x1) + shift),
            std::min(static_cast<double>(height - last), static_cast<double>(e.y1) + shift)};
}

template <typename T>
std::vector<LabelBoxes> boxesOf(const Volume<T>& volume, double shift, BoxLimit limit) {
    std::map<int, LabelBoxes> found;
    for (std::int64_t z = 0; z < volume.nz(); ++z) {
        const auto slice = volume.slice(z);
        std::map<int, Extent> extents;
        for (std::int64_t y = 0; y < slice.height; ++y)
            for (std::int64_t x = 0; x < slice.width; ++x)
                if (const int label = slice(x, y); label != 0) extents[label].add(x, y);
        for (const auto& [label, extent] : extents) {
            LabelBoxes& boxes = found[label];
            boxes.label = label;
            boxes.boxes.push_back({label, z, widened(extent, shift, limit, slice.width, slice.height)});
            boxes.pixels.push_back(extent.pixels);
        }
    }
    std::vector<LabelBoxes> all;
    for (auto& [label, boxes] : found) all.push_back(std::move(boxes));
    return all;
}

}  // namespace

template <typename T>
std::optional<PixelBox> boxOfLabel(SliceView<const T> slice, int label, double shift, BoxLimit limit) {
    Extent extent;
    for (std::int64_t y = 0; y < slice.height; ++y)
        for (std::int64_t x = 0; x < slice.width; ++x)
            if (slice(x, y) == label) extent.add(x, y);
    if (extent.pixels == 0) return {};
    return widened(extent, shift, limit, slice.width, slice.height);
}

template std::optional<PixelBox> boxOfLabel(SliceView<const std::uint8_t>, int, double, BoxLimit);
template std::optional<PixelBox> boxOfLabel(SliceView<const std::uint16_t>, int, double, BoxLimit);

std::optional<PixelBox> boxOfLine(SliceView<const std::uint8_t> slice, int shift) {
    std::optional<std::array<std::int64_t, 2>> first;
    std::array<std::int64_t, 2> last{};
    for (std::int64_t y = 0; y < slice.height; ++y)
        for (std::int64_t x = 0; x < slice.width; ++x) {
            if (slice(x, y) == 0) continue;
            last = {x, y};
            if (!first) first = last;
        }
    if (!first) return {};
    const auto dx = static_cast<double>(last[0] - (*first)[0]);
    const auto dy = static_cast<double>(last[1] - (*first)[1]);
    const auto half = static_cast<std::int64_t>(std::sqrt(dx * dx + dy * dy) / 2);
    const std::int64_t x = (last[0] + (*first)[0]) / 2;
    const std::int64_t y = (last[1] + (*first)[1]) / 2;
    const Extent extent{x - half, y - half, x + half, y + half, 1};
    return widened(extent, shift, BoxLimit::LastPixel, slice.width, slice.height);
}

std::vector<LabelBoxes> labelBoxesBySlice(const LabelMap& labels, double shift, BoxLimit limit) {
    return labels.visit([&](const auto& volume) { return boxesOf(volume, shift, limit); });
}

}  // namespace medseg
