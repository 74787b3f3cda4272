#include "medseg/dataset/sam3d_conditions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

std::vector<Sam3dObject> ofAxis(const std::vector<Sam3dObject>& objects, int axis) {
    std::vector<Sam3dObject> chosen;
    for (const Sam3dObject& object : objects)
        if (object.axis == axis) chosen.push_back(object);
    return chosen;
}

std::int64_t mostPixels(const std::vector<Sam3dObject>& objects) {
    std::int64_t most = 0;
    for (const Sam3dObject& object : objects) most = std::max(most, object.pixels);
    return most;
}

/// From index on `grid` to index of `geometry`, axis by axis: scale and offset.
struct AxisMap {
    std::array<double, 3> scale{}, offset{};

    double at(int axis, double index) const {
        const auto a = static_cast<std::size_t>(axis);
        return scale[a] * index + offset[a];
    }
    double back(int axis, double index) const {
        const auto a = static_cast<std::size_t>(axis);
        return (index - offset[a]) / scale[a];
    }
};

AxisMap axisMap(const Geometry& geometry, const Geometry& grid) {
    constexpr double kTolerance = 1e-3;
    const Affine map = multiply(inverse(geometry.affine()), grid.affine());
    AxisMap result;
    for (std::size_t row = 0; row < 3; ++row) {
        result.scale[row] = map[row][row];
        result.offset[row] = map[row][3];
        for (std::size_t column = 0; column < 3; ++column)
            if (column != row && std::abs(map[row][column]) > kTolerance)
                throw DataError(
                    fmt::format("the grid {} does not run along the axes of {}", grid.describe(), geometry.describe()));
    }
    return result;
}

}  // namespace

std::vector<Sam3dObject> chooseSlices(const std::vector<Sam3dObject>& objects, std::size_t count) {
    std::vector<std::vector<Sam3dObject>> axes;
    for (int axis = 0; axis < 3; ++axis)
        if (auto own = ofAxis(objects, axis); !own.empty()) axes.push_back(std::move(own));
    // The axis that shows the most comes first; ties keep the order of axes.
    std::stable_sort(axes.begin(), axes.end(),
                     [](const auto& a, const auto& b) { return mostPixels(a) > mostPixels(b); });
    std::vector<Sam3dObject> chosen;
    for (std::size_t i = 0; i < axes.size(); ++i) {
        const auto& own = axes[i];
        const std::size_t share =
            std::min(own.size(), count / axes.size() + (i < count % axes.size() ? std::size_t{1} : 0));
        if (share == 1) {
            chosen.push_back(*std::max_element(own.begin(), own.end(),
                                               [](const auto& a, const auto& b) { return a.pixels < b.pixels; }));
            continue;
        }
        for (std::size_t j = 0; j < share; ++j) chosen.push_back(own[(2 * j + 1) * own.size() / (2 * share)]);
    }
    return chosen;
}

std::vector<Sam3dObject> slicesShowing(const LabelMap& labels, int label, const std::vector<int>& axes,
                                       std::int64_t minPixels) {
    const Index3& size = labels.geometry().size();
    std::array<std::vector<std::int64_t>, 3> counts;
    for (std::size_t axis = 0; axis < 3; ++axis) counts[axis].assign(static_cast<std::size_t>(size[axis]), 0);
    labels.visit([&](const auto& voxels) {
        for (std::int64_t z = 0; z < size[2]; ++z)
            for (std::int64_t y = 0; y < size[1]; ++y)
                for (std::int64_t x = 0; x < size[0]; ++x)
                    if (static_cast<int>(voxels(x, y, z)) == label) {
                        ++counts[0][static_cast<std::size_t>(x)];
                        ++counts[1][static_cast<std::size_t>(y)];
                        ++counts[2][static_cast<std::size_t>(z)];
                    }
    });
    std::vector<Sam3dObject> all;
    for (int axis = 0; axis < 3; ++axis) {
        const auto& along = counts[static_cast<std::size_t>(axis)];
        std::vector<Sam3dObject> own;
        for (std::size_t i = 0; i < along.size(); ++i)
            if (along[i] > 0) own.push_back({0, label, axis, static_cast<std::int64_t>(i), along[i]});
        if (own.size() == 1) return own;
        if (std::find(axes.begin(), axes.end(), axis) == axes.end()) continue;
        for (const Sam3dObject& object : own)
            if (object.pixels >= minPixels) all.push_back(object);
    }
    return all;
}

Sam3dSlice sliceOnGrid(const Volume<float>& image, const LabelMap& labels, int axis, std::int64_t index,
                       const Geometry& grid) {
    const Index3& size = image.size();
    const auto depthAxis = static_cast<std::size_t>(axis);
    if (axis < 0 || axis > 2 || index < 0 || index >= size[depthAxis])
        throw UsageError(
            fmt::format("slice {} across axis {} lies outside the image of {} voxels", index, axis, formatSize(size)));
    const AxisMap map = axisMap(image.geometry(), grid);
    const int rowAxis = axis == 0 ? 1 : 0, columnAxis = axis == 2 ? 1 : 2;
    const double depth = map.back(axis, static_cast<double>(index));
    Sam3dSlice slice;
    slice.axis = axis;
    slice.index = std::clamp<std::int64_t>(std::llround(depth), 0, grid.size()[depthAxis] - 1);
    slice.height = grid.size()[static_cast<std::size_t>(rowAxis)];
    slice.width = grid.size()[static_cast<std::size_t>(columnAxis)];
    const auto pixels = static_cast<std::size_t>(slice.height * slice.width);
    slice.image.resize(pixels);
    slice.mask.resize(pixels);
    slice.pointmap.assign(3 * pixels, std::numeric_limits<float>::quiet_NaN());
    const auto clamped = [&](int along, double position) {
        return std::clamp(position, 0.0, static_cast<double>(size[static_cast<std::size_t>(along)] - 1));
    };
    const auto voxel = [&](std::int64_t row, std::int64_t column) {
        Index3 at{};
        at[depthAxis] = index;
        at[static_cast<std::size_t>(rowAxis)] = std::min(row, size[static_cast<std::size_t>(rowAxis)] - 1);
        at[static_cast<std::size_t>(columnAxis)] = std::min(column, size[static_cast<std::size_t>(columnAxis)] - 1);
        return at;
    };
    const auto intensity = [&](std::int64_t row, std::int64_t column) {
        const Index3 at = voxel(row, column);
        return static_cast<double>(image(at[0], at[1], at[2]));
    };
    for (std::int64_t y = 0; y < slice.height; ++y)
        for (std::int64_t x = 0; x < slice.width; ++x) {
            const double row = clamped(rowAxis, map.at(rowAxis, static_cast<double>(y)));
            const double column = clamped(columnAxis, map.at(columnAxis, static_cast<double>(x)));
            const auto r = static_cast<std::int64_t>(row), c = static_cast<std::int64_t>(column);
            const double fr = row - static_cast<double>(r), fc = column - static_cast<double>(c);
            const auto at = static_cast<std::size_t>(y * slice.width + x);
            slice.image[at] = static_cast<float>((1 - fr) * ((1 - fc) * intensity(r, c) + fc * intensity(r, c + 1)) +
                                                 fr * ((1 - fc) * intensity(r + 1, c) + fc * intensity(r + 1, c + 1)));
            const Index3 nearest = voxel(std::llround(row), std::llround(column));
            const int label = labels.at(nearest[0], nearest[1], nearest[2]);
            slice.mask[at] = static_cast<std::uint8_t>(std::min(label, 255));
            if (label == 0) continue;
            Vec3 place{};
            place[depthAxis] = depth;
            place[static_cast<std::size_t>(rowAxis)] = static_cast<double>(y);
            place[static_cast<std::size_t>(columnAxis)] = static_cast<double>(x);
            const Vec3 world = grid.voxelToWorld(place);
            for (std::size_t i = 0; i < 3; ++i) slice.pointmap[i * pixels + at] = static_cast<float>(world[i]);
        }
    return slice;
}

}  // namespace medseg
