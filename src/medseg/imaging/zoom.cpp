#include "medseg/imaging/zoom.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/filter.h"
#include "medseg/imaging/resample.h"
#include "medseg/imaging/separable.h"
#include "medseg/imaging/window.h"

namespace medseg {
namespace {

void requireOrder(int order) {
    if (order < 0 || order > kMaxSplineOrder)
        throw UsageError(fmt::format("spline order {} is outside 0..{}", order, kMaxSplineOrder));
}

void requireResult(const Index3& size) {
    for (const auto n : size)
        if (n < 1 || n > 1'000'000) throw UsageError(fmt::format("cannot resize to {} voxels", formatSize(size)));
}

// Coordinates of scipy's zoom for one axis.
std::vector<double> zoomCoordinates(std::int64_t n, std::int64_t m, bool gridMode) {
    if (gridMode) return halfPixelCoordinates(n, m);
    std::vector<double> result(m);
    const double step = m > 1 ? static_cast<double>(n - 1) / static_cast<double>(m - 1) : 1.0;
    for (std::int64_t i = 0; i < m; ++i) result[i] = static_cast<double>(i) * step;
    return result;
}

std::array<AxisMap, 3> zoomMaps(const Index3& from, const Index3& to, int order, Boundary boundary, bool gridMode) {
    std::array<AxisMap, 3> maps;
    for (int axis = 0; axis < 3; ++axis)
        maps[axis] = from[axis] == to[axis]
                         ? identityAxis(from[axis])
                         : splineAxis(from[axis], zoomCoordinates(from[axis], to[axis], gridMode), order, boundary);
    return maps;
}

// Geometry whose first and last voxel centres are those of `geometry`.
Geometry withSameEnds(const Geometry& geometry, const Index3& size) {
    Affine affine = geometry.affine();
    for (int axis = 0; axis < 3; ++axis) {
        const double ratio = size[axis] > 1 && geometry.size()[axis] > 1
                                 ? static_cast<double>(geometry.size()[axis] - 1) / static_cast<double>(size[axis] - 1)
                                 : 1.0;
        for (int row = 0; row < 3; ++row) affine[row][axis] *= ratio;
    }
    return {size, affine};
}

template <typename T>
void clipTo(Volume<T>& volume, double low, double high) {
    parallelFor(0, volume.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
            volume.data()[i] = std::min(std::max(volume.data()[i], static_cast<T>(low)), static_cast<T>(high));
    });
}

// Clips every slice across `axis` of `volume` to the range of the same slice of `original`.
void clipSlices(const Volume<float>& original, Volume<float>& volume, int axis) {
    const std::int64_t n = volume.size()[axis];
    std::vector<float> low(n, INFINITY), high(n, -INFINITY);
    const auto forVoxels = [axis](auto& v, const auto& body) {
        std::int64_t i = 0;
        for (std::int64_t z = 0; z < v.nz(); ++z)
            for (std::int64_t y = 0; y < v.ny(); ++y)
                for (std::int64_t x = 0; x < v.nx(); ++x, ++i) body(v.data()[i], axis == 0 ? x : axis == 1 ? y : z);
    };
    forVoxels(original, [&](const float value, std::int64_t slice) {
        low[slice] = std::min(low[slice], value);
        high[slice] = std::max(high[slice], value);
    });
    forVoxels(volume, [&](float& value, std::int64_t slice) {
        value = std::clamp(value, low[slice], std::max(low[slice], high[slice]));
    });
}

}  // namespace

template <typename T>
Volume<T> zoomVolume(const Volume<T>& volume, const Vec3& factors, const ZoomOptions& options) {
    if (volume.empty()) throw DataError("cannot zoom a volume without voxels");
    requireOrder(options.order);
    Index3 size;
    for (int axis = 0; axis < 3; ++axis) {
        if (!(factors[axis] > 0) || !std::isfinite(factors[axis]))
            throw UsageError(fmt::format("zoom factor {} is not positive", factors[axis]));
        size[axis] = static_cast<std::int64_t>(
            std::min(1e9, std::nearbyint(static_cast<double>(volume.size()[axis]) * factors[axis])));
    }
    requireResult(size);
    Volume<T> out(options.gridMode ? withSize(volume.geometry(), size) : withSameEnds(volume.geometry(), size));
    resampleSeparable(volume.data(), volume.size(),
                      zoomMaps(volume.size(), size, options.order, options.boundary, options.gridMode), options.fill,
                      out.data());
    return out;
}

template <typename T>
Volume<T> resizeVolume(const Volume<T>& volume, const Index3& size, const ResizeOptions& options) {
    if (volume.empty()) throw DataError("cannot resize a volume without voxels");
    requireOrder(options.order);
    requireResult(size);
    Vec3 sigma{};
    for (int axis = 0; axis < 3; ++axis)
        sigma[axis] =
            std::max(0.0, (static_cast<double>(volume.size()[axis]) / static_cast<double>(size[axis]) - 1) / 2);
    const bool smooth = options.antiAliasing && (sigma[0] > 0 || sigma[1] > 0 || sigma[2] > 0);
    // Outside the field of view scikit-image interpolates towards the constant and repeats periodically.
    const Boundary boundary = options.boundary == Boundary::Constant ? Boundary::GridConstant
                              : options.boundary == Boundary::Wrap   ? Boundary::GridWrap
                                                                     : options.boundary;
    Volume<T> out(withSize(volume.geometry(), size));
    const auto maps = zoomMaps(volume.size(), size, options.order, boundary, true);
    if (smooth)
        resampleSeparable(gaussianFilter(volume, sigma, {options.boundary, 4.0, options.fill}).data(), volume.size(),
                          maps, options.fill, out.data());
    else
        resampleSeparable(volume.data(), volume.size(), maps, options.fill, out.data());
    if (options.clip) {
        ValueRange range = finiteRange(std::span<const T>(volume.voxels()));
        // scikit-image lets the fill value stand, and everything up to it, but only if the result goes as far.
        if (options.boundary == Boundary::Constant && (options.fill < range.low || options.fill > range.high)) {
            const ValueRange reached = finiteRange(std::span<const T>(out.voxels()));
            if (reached.low <= options.fill && options.fill <= reached.high)
                range = {std::min(range.low, options.fill), std::max(range.high, options.fill)};
        }
        clipTo(out, range.low, range.high);
    }
    return out;
}

Volume<float> resampleNnunet(const Volume<float>& image, const Index3& size, int separateAxis, int order,
                             int orderAcross) {
    if (separateAxis < 0) return resizeVolume(image, size, {order, Boundary::Nearest, false, true, 0});
    if (separateAxis > 2) throw UsageError(fmt::format("axis {}: use 0, 1 or 2", separateAxis));
    if (image.empty()) throw DataError("cannot resize a volume without voxels");
    requireOrder(order);
    requireResult(size);
    Index3 inPlane = size;
    inPlane[separateAxis] = image.size()[separateAxis];
    Volume<float> slices(withSize(image.geometry(), inPlane));
    resampleSeparable(image.data(), image.size(), zoomMaps(image.size(), inPlane, order, Boundary::Nearest, true), 0.0,
                      slices.data());
    clipSlices(image, slices, separateAxis);
    Volume<float> out(withSize(image.geometry(), size));
    resampleSeparable(slices.data(), inPlane, zoomMaps(inPlane, size, orderAcross, Boundary::Nearest, true), 0.0,
                      out.data());
    return out;
}

template <typename T>
Volume<T> resampleNnunetLabels(const Volume<T>& labels, const Index3& size) {
    if (labels.empty()) throw DataError("cannot resize a volume without voxels");
    requireResult(size);
    std::array<AxisMap, 3> maps;
    for (int axis = 0; axis < 3; ++axis)
        maps[axis] = linearAxis(labels.size()[axis], halfPixelCoordinates(labels.size()[axis], size[axis]));
    Volume<T> out(withSize(labels.geometry(), size));
    const std::int64_t nx = labels.nx(), ny = labels.ny();
    parallelFor(0, size[1] * size[2], 8, [&](std::int64_t first, std::int64_t last) {
        std::array<T, 8> label;
        std::array<double, 8> weight;
        for (std::int64_t row = first; row < last; ++row) {
            const std::int64_t y = row % size[1], z = row / size[1];
            for (std::int64_t x = 0; x < size[0]; ++x) {
                for (int corner = 0; corner < 8; ++corner) {
                    const std::int64_t tx = 2 * x + (corner & 1), ty = 2 * y + (corner >> 1 & 1),
                                       tz = 2 * z + (corner >> 2);
                    label[corner] =
                        labels.data()[maps[0].index[tx] + nx * (maps[1].index[ty] + ny * maps[2].index[tz])];
                    weight[corner] = maps[0].weight[tx] * maps[1].weight[ty] * maps[2].weight[tz];
                }
                T best = 0;
                for (int corner = 0; corner < 8; ++corner) {
                    if (label[corner] <= best) continue;
                    double sum = 0;
                    for (int other = 0; other < 8; ++other)
                        if (label[other] == label[corner]) sum += weight[other];
                    if (sum >= 0.5) best = label[corner];
                }
                out.data()[row * size[0] + x] = best;
            }
        }
    });
    return out;
}

template Volume<std::uint8_t> zoomVolume(const Volume<std::uint8_t>&, const Vec3&, const ZoomOptions&);
template Volume<std::uint16_t> zoomVolume(const Volume<std::uint16_t>&, const Vec3&, const ZoomOptions&);
template Volume<std::int16_t> zoomVolume(const Volume<std::int16_t>&, const Vec3&, const ZoomOptions&);
template Volume<std::int32_t> zoomVolume(const Volume<std::int32_t>&, const Vec3&, const ZoomOptions&);
template Volume<float> zoomVolume(const Volume<float>&, const Vec3&, const ZoomOptions&);
template Volume<double> zoomVolume(const Volume<double>&, const Vec3&, const ZoomOptions&);
template Volume<float> resizeVolume(const Volume<float>&, const Index3&, const ResizeOptions&);
template Volume<double> resizeVolume(const Volume<double>&, const Index3&, const ResizeOptions&);
template Volume<std::uint8_t> resampleNnunetLabels(const Volume<std::uint8_t>&, const Index3&);
template Volume<std::uint16_t> resampleNnunetLabels(const Volume<std::uint16_t>&, const Index3&);
template Volume<std::int16_t> resampleNnunetLabels(const Volume<std::int16_t>&, const Index3&);

}  // namespace medseg
