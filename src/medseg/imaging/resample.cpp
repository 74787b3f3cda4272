#include "medseg/imaging/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/convert.h"
#include "medseg/imaging/separable.h"
#include "medseg/imaging/spline_sampler.h"

namespace medseg {
namespace {

// Coordinates that rounding pushed past the edge of the field of view still count as inside.
constexpr double kEdgeTolerance = 1e-6;

bool isInside(double coordinate, std::int64_t n) {
    return coordinate >= -0.5 - kEdgeTolerance && coordinate <= static_cast<double>(n) - 0.5 + kEdgeTolerance;
}

std::int64_t nearestIndex(double coordinate, std::int64_t n) {
    return std::clamp(static_cast<std::int64_t>(std::floor(coordinate + 0.5)), std::int64_t{0}, n - 1);
}

Affine targetToSource(const Geometry& source, const Geometry& target) {
    return multiply(inverse(source.affine()), target.affine());
}

// Array axes parallel and in the same order: every source coordinate depends on one target index.
bool isSeparable(const Affine& map, const Index3& targetSize) {
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 3; ++column)
            if (row != column && std::abs(map[row][column]) * static_cast<double>(targetSize[column]) > 1e-4)
                return false;
    return true;
}

AxisMap axisMap(double offset, double step, std::int64_t n, std::int64_t m, Interpolation interpolation) {
    std::vector<double> coordinates(m);
    std::vector<std::uint8_t> outside;
    for (std::int64_t i = 0; i < m; ++i) {
        const double x = offset + step * static_cast<double>(i);
        if (!isInside(x, n)) {
            if (outside.empty()) outside.assign(m, 0);
            outside[i] = 1;
        }
        coordinates[i] = std::clamp(x, 0.0, static_cast<double>(n - 1));
        // Integer positions stay exact, so that an unchanged axis is recognised as the identity.
        const double rounded = std::round(coordinates[i]);
        if (std::abs(coordinates[i] - rounded) < 1e-9) coordinates[i] = rounded;
    }
    AxisMap map;
    const bool onGrid =
        std::all_of(coordinates.begin(), coordinates.end(), [](double x) { return x == std::floor(x); });
    if (interpolation == Interpolation::Nearest || onGrid) {
        std::vector<std::int64_t> index(m);
        for (std::int64_t i = 0; i < m; ++i) index[i] = nearestIndex(coordinates[i], n);
        map = gatherAxis(n, index);
    } else if (interpolation == Interpolation::Linear) {
        map = linearAxis(n, coordinates);
    } else {
        map = splineAxis(n, coordinates, 3, Boundary::Mirror);
    }
    map.outside = std::move(outside);
    return map;
}

// Calls body(x, y, z of the source, index of the target voxel) for the target voxels of one row, in order.
template <typename Body>
void forRow(const Affine& map, const Index3& size, std::int64_t y, std::int64_t z, const Body& body) {
    Vec3 start;
    for (int r = 0; r < 3; ++r)
        start[r] = map[r][1] * static_cast<double>(y) + map[r][2] * static_cast<double>(z) + map[r][3];
    const std::int64_t row = size[0] * (y + size[1] * z);
    for (std::int64_t x = 0; x < size[0]; ++x) {
        const auto step = static_cast<double>(x);
        body(start[0] + map[0][0] * step, start[1] + map[1][0] * step, start[2] + map[2][0] * step, row + x);
    }
}

template <typename Body>
void forTarget(const Affine& map, const Index3& size, const Body& body) {
    parallelFor(0, size[1] * size[2], 16, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) forRow(map, size, row % size[1], row / size[1], body);
    });
}

// The eight corners of the cell around a position, clamped to the volume.
struct Corners {
    std::array<std::int64_t, 8> index;
    std::array<double, 8> weight;

    Corners(const Index3& size, double x, double y, double z) {
        const std::array position{x, y, z};
        std::array<std::array<std::int64_t, 2>, 3> at;
        std::array<double, 3> part;
        for (int axis = 0; axis < 3; ++axis) {
            const double clamped = std::clamp(position[axis], 0.0, static_cast<double>(size[axis] - 1));
            const auto low = static_cast<std::int64_t>(clamped);
            at[axis] = {low, std::min(low + 1, size[axis] - 1)};
            part[axis] = clamped - static_cast<double>(low);
        }
        for (int corner = 0; corner < 8; ++corner) {
            const int cx = corner & 1, cy = corner >> 1 & 1, cz = corner >> 2;
            index[corner] = at[0][cx] + size[0] * (at[1][cy] + size[1] * at[2][cz]);
            weight[corner] = (cx ? part[0] : 1 - part[0]) * (cy ? part[1] : 1 - part[1]) * (cz ? part[2] : 1 - part[2]);
        }
    }
};

bool isInside(const Index3& size, double x, double y, double z) {
    return isInside(x, size[0]) && isInside(y, size[1]) && isInside(z, size[2]);
}

template <typename T>
void resampleGeneral(const Volume<T>& volume, const Affine& map, Interpolation interpolation, T fill, Volume<T>& out) {
    const Index3& size = volume.size();
    const T* in = volume.data();
    T* result = out.data();
    if (interpolation == Interpolation::Nearest) {
        forTarget(map, out.size(), [&](double x, double y, double z, std::int64_t i) {
            result[i] =
                isInside(size, x, y, z)
                    ? in[volume.index(nearestIndex(x, size[0]), nearestIndex(y, size[1]), nearestIndex(z, size[2]))]
                    : fill;
        });
    } else if (interpolation == Interpolation::Linear) {
        forTarget(map, out.size(), [&](double x, double y, double z, std::int64_t i) {
            if (!isInside(size, x, y, z)) {
                result[i] = fill;
                return;
            }
            const Corners corners(size, x, y, z);
            double sum = 0;
            for (int c = 0; c < 8; ++c)
                if (corners.weight[c] != 0) sum += corners.weight[c] * static_cast<double>(in[corners.index[c]]);
            result[i] = convertValue<T>(sum);
        });
    } else {
        const SplineSampler sampler(in, size, 3, Boundary::Mirror, 0.0);
        forTarget(map, out.size(), [&](double x, double y, double z, std::int64_t i) {
            result[i] = isInside(size, x, y, z)
                            ? convertValue<T>(sampler.at(std::clamp(x, 0.0, static_cast<double>(size[0] - 1)),
                                                         std::clamp(y, 0.0, static_cast<double>(size[1] - 1)),
                                                         std::clamp(z, 0.0, static_cast<double>(size[2] - 1))))
                            : fill;
        });
    }
}

template <typename T>
T heaviestLabel(const T* in, const Corners& corners) {
    T best = in[corners.index[0]];
    double bestWeight = -1;
    for (int c = 0; c < 8; ++c) {
        const T label = in[corners.index[c]];
        double weight = 0;
        for (int other = 0; other < 8; ++other)
            if (in[corners.index[other]] == label) weight += corners.weight[other];
        // Sums of the same weights in another order differ by rounding: those are ties.
        if (weight > bestWeight + 1e-12 || (weight > bestWeight - 1e-12 && label < best)) {
            best = label;
            bestWeight = weight;
        }
    }
    return best;
}

}  // namespace

Interpolation interpolationFromName(const std::string& name) {
    if (name == "nearest") return Interpolation::Nearest;
    if (name == "linear") return Interpolation::Linear;
    if (name == "cubic") return Interpolation::Cubic;
    throw UsageError(fmt::format("unknown interpolation '{}': use nearest, linear or cubic", name));
}

Geometry withSpacing(const Geometry& geometry, const Vec3& spacing) {
    const Vec3 old = geometry.spacing();
    Affine affine = geometry.affine();
    Index3 size = geometry.size();
    Vec3 center{};
    for (int axis = 0; axis < 3; ++axis) {
        if (!(spacing[axis] > 0) || !std::isfinite(spacing[axis]))
            throw UsageError(fmt::format("spacing {} mm is not positive", spacing[axis]));
        const double count = std::nearbyint(static_cast<double>(size[axis]) * old[axis] / spacing[axis]);
        if (count > 1e6)
            throw UsageError(fmt::format("spacing {} mm would make {} voxels along one axis", spacing[axis], count));
        const auto n = std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
        const double ratio = spacing[axis] / old[axis];
        // Source index of the new first voxel: the centres of the two grids coincide.
        center[axis] = (static_cast<double>(size[axis] - 1) - ratio * static_cast<double>(n - 1)) / 2;
        size[axis] = n;
        for (int row = 0; row < 3; ++row) affine[row][axis] *= ratio;
    }
    const Vec3 origin = geometry.voxelToWorld(center);
    for (int row = 0; row < 3; ++row) affine[row][3] = origin[row];
    return {size, affine};
}

Geometry withSize(const Geometry& geometry, const Index3& size) {
    Affine affine = geometry.affine();
    Vec3 first{};
    for (int axis = 0; axis < 3; ++axis) {
        const double ratio = static_cast<double>(geometry.size()[axis]) / static_cast<double>(size[axis]);
        first[axis] = 0.5 * ratio - 0.5;
        for (int row = 0; row < 3; ++row) affine[row][axis] *= ratio;
    }
    const Vec3 origin = geometry.voxelToWorld(first);
    for (int row = 0; row < 3; ++row) affine[row][3] = origin[row];
    return {size, affine};
}

template <typename T>
Volume<T> resampleTo(const Volume<T>& volume, const Geometry& target, Interpolation interpolation, double fill) {
    if (volume.empty()) throw DataError("cannot resample a volume without voxels");
    Volume<T> out(target);
    const Affine map = targetToSource(volume.geometry(), target);
    if (!isSeparable(map, target.size())) {
        resampleGeneral(volume, map, interpolation, convertValue<T>(fill), out);
        return out;
    }
    std::array<AxisMap, 3> maps;
    for (int axis = 0; axis < 3; ++axis)
        maps[axis] = axisMap(map[axis][3], map[axis][axis], volume.size()[axis], target.size()[axis], interpolation);
    resampleSeparable(volume.data(), volume.size(), maps, fill, out.data());
    return out;
}

template <typename T>
Volume<T> resampleLabels(const Volume<T>& labels, const Geometry& target, LabelInterpolation interpolation) {
    if (interpolation == LabelInterpolation::Nearest) return resampleTo(labels, target, Interpolation::Nearest);
    if (labels.empty()) throw DataError("cannot resample a volume without voxels");
    Volume<T> out(target);
    const Index3& size = labels.size();
    forTarget(targetToSource(labels.geometry(), target), target.size(),
              [&](double x, double y, double z, std::int64_t i) {
                  out.data()[i] = isInside(size, x, y, z) ? heaviestLabel(labels.data(), Corners(size, x, y, z)) : T{0};
              });
    return out;
}

LabelMap resampleLabels(const LabelMap& labels, const Geometry& target, LabelInterpolation interpolation) {
    return labels.visit(
        [&](const auto& voxels) { return LabelMap(resampleLabels(voxels, target, interpolation), labels.table()); });
}

#define MEDSEG_INSTANTIATE(T)                                                                   \
    template Volume<T> resampleTo<T>(const Volume<T>&, const Geometry&, Interpolation, double); \
    template Volume<T> resampleLabels<T>(const Volume<T>&, const Geometry&, LabelInterpolation);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::uint16_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::int32_t)
MEDSEG_INSTANTIATE(std::uint32_t)
#undef MEDSEG_INSTANTIATE
template Volume<std::int8_t> resampleTo(const Volume<std::int8_t>&, const Geometry&, Interpolation, double);
template Volume<float> resampleTo(const Volume<float>&, const Geometry&, Interpolation, double);
template Volume<double> resampleTo(const Volume<double>&, const Geometry&, Interpolation, double);

}  // namespace medseg
