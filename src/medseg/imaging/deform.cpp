#include "medseg/imaging/deform.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/convert.h"
#include "medseg/imaging/cubic_kernel.h"
#include "medseg/imaging/spline_sampler.h"

namespace medseg {
namespace {

template <typename T>
SplineSampler samplerOf(const Volume<T>& volume, const SampleOptions& options) {
    if (volume.empty()) throw DataError("cannot sample a volume without voxels");
    return {volume.data(), volume.size(), options.order, options.boundary, options.fill};
}

// Calls body(x, y, z, index) for all voxels, rows in parallel.
template <typename Body>
void forVoxels(const Index3& size, const Body& body) {
    parallelFor(0, size[1] * size[2], 8, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row)
            for (std::int64_t x = 0; x < size[0]; ++x) body(x, row % size[1], row / size[1], row * size[0] + x);
    });
}

double cosDegrees(double degrees) {
    const double turned = std::fmod(degrees, 360.0);
    if (std::fmod(turned, 90.0) == 0) {  // exact for right angles
        const int quarter = static_cast<int>(turned / 90) & 3;
        return quarter == 0 ? 1 : quarter == 2 ? -1 : 0;
    }
    return std::cos(turned * std::numbers::pi / 180);
}

double sinDegrees(double degrees) {
    return cosDegrees(degrees - 90);
}

struct WarpSource {
    SliceView<const std::uint8_t> in;
    WarpBorder border;
    std::uint8_t fill;

    double at(std::int64_t x, std::int64_t y) const {
        if (border == WarpBorder::Replicate)
            return in(std::clamp<std::int64_t>(x, 0, in.width - 1), std::clamp<std::int64_t>(y, 0, in.height - 1));
        return x >= 0 && y >= 0 && x < in.width && y < in.height ? in(x, y) : fill;
    }
};

}  // namespace

template <typename T>
std::vector<double> mapCoordinates(const Volume<T>& volume, std::span<const Vec3> coordinates,
                                   const SampleOptions& options) {
    const SplineSampler sampler = samplerOf(volume, options);
    std::vector<double> out(coordinates.size());
    parallelFor(0, static_cast<std::int64_t>(out.size()), 256, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
            out[i] = sampler.at(coordinates[i][0], coordinates[i][1], coordinates[i][2]);
    });
    return out;
}

template <typename T>
Volume<T> elasticDeform(const Volume<T>& volume, const Volume<float>& displacementX, const Volume<float>& displacementY,
                        const Volume<float>* displacementZ, const SampleOptions& options) {
    if (displacementX.size() != volume.size() || displacementY.size() != volume.size() ||
        (displacementZ != nullptr && displacementZ->size() != volume.size()))
        throw DataError(
            fmt::format("deformation: displacements must have the size {} of the image", formatSize(volume.size())));
    const SplineSampler sampler = samplerOf(volume, options);
    Volume<T> out(volume.geometry());
    forVoxels(volume.size(), [&](std::int64_t x, std::int64_t y, std::int64_t z, std::int64_t i) {
        const double dz = displacementZ != nullptr ? static_cast<double>(displacementZ->data()[i]) : 0.0;
        out.data()[i] = convertValue<T>(sampler.at(
            static_cast<double>(x) + static_cast<double>(displacementX.data()[i]),
            static_cast<double>(y) + static_cast<double>(displacementY.data()[i]), static_cast<double>(z) + dz));
    });
    return out;
}

template <typename T>
Volume<T> affineTransform(const Volume<T>& volume, const std::array<Vec3, 3>& matrix, const Vec3& offset,
                          const Index3& size, const SampleOptions& options) {
    const SplineSampler sampler = samplerOf(volume, options);
    Volume<T> out(Geometry(size, volume.geometry().affine()));
    forVoxels(size, [&](std::int64_t x, std::int64_t y, std::int64_t z, std::int64_t i) {
        Vec3 p;
        for (int row = 0; row < 3; ++row)
            p[row] = matrix[row][0] * static_cast<double>(x) + matrix[row][1] * static_cast<double>(y) +
                     matrix[row][2] * static_cast<double>(z) + offset[row];
        out.data()[i] = convertValue<T>(sampler.at(p[0], p[1], p[2]));
    });
    return out;
}

template <typename T>
Volume<T> rotateVolume(const Volume<T>& volume, double degrees, RotationPlane plane, bool reshape,
                       const SampleOptions& options) {
    if (!std::isfinite(degrees)) throw UsageError(fmt::format("rotation by {} degrees", degrees));
    if (plane.first < 0 || plane.second > 2 || plane.first >= plane.second)
        throw UsageError(
            fmt::format("rotation plane {} {}: use two axes of 0, 1, 2 in ascending order", plane.first, plane.second));
    // scipy's first plane axis is the slower one: our second.
    const int a = plane.second, b = plane.first;
    const double c = cosDegrees(degrees), s = sinDegrees(degrees);
    Index3 size = volume.size();
    const auto na = static_cast<double>(size[a]), nb = static_cast<double>(size[b]);
    if (reshape) {
        size[a] = static_cast<std::int64_t>(std::abs(c) * na + std::abs(s) * nb + 0.5);
        size[b] = static_cast<std::int64_t>(std::abs(s) * na + std::abs(c) * nb + 0.5);
    }
    const double centerA = static_cast<double>(size[a] - 1) / 2, centerB = static_cast<double>(size[b] - 1) / 2;
    std::array<Vec3, 3> matrix{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    matrix[a][a] = c;
    matrix[a][b] = s;
    matrix[b][a] = -s;
    matrix[b][b] = c;
    Vec3 offset{};
    offset[a] = (na - 1) / 2 - (c * centerA + s * centerB);
    offset[b] = (nb - 1) / 2 - (-s * centerA + c * centerB);
    return affineTransform(volume, matrix, offset, size, options);
}

void warpAffine(SliceView<const std::uint8_t> in, const std::array<std::array<double, 3>, 2>& forward,
                WarpInterpolation interpolation, WarpBorder border, std::uint8_t fill, SliceView<std::uint8_t> out) {
    const auto& m = forward;
    const double determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
    if (!std::isfinite(determinant) || determinant == 0) throw UsageError("warp: the matrix cannot be inverted");
    if (in.width <= 0 || in.height <= 0) throw DataError("warp: the image has no pixels");
    const double a = m[1][1] / determinant, b = -m[0][1] / determinant;
    const double c = -m[1][0] / determinant, d = m[0][0] / determinant;
    const double tx = -(a * m[0][2] + b * m[1][2]), ty = -(c * m[0][2] + d * m[1][2]);
    const WarpSource source{in, border, fill};
    // 10 fractional bits while positions are added up, 5 of them kept for the weights.
    const auto fixed = [](double value) { return static_cast<std::int64_t>(std::llrint(value * 1024)); };
    const std::int64_t rounding = interpolation == WarpInterpolation::Nearest ? 512 : 16;
    parallelFor(0, out.height, 16, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t y = first; y < last; ++y) {
            const std::int64_t rowX = fixed(b * static_cast<double>(y) + tx) + rounding;
            const std::int64_t rowY = fixed(d * static_cast<double>(y) + ty) + rounding;
            for (std::int64_t x = 0; x < out.width; ++x) {
                const std::int64_t px = rowX + fixed(a * static_cast<double>(x)),
                                   py = rowY + fixed(c * static_cast<double>(x));
                if (interpolation == WarpInterpolation::Nearest) {
                    out(x, y) = static_cast<std::uint8_t>(source.at(px >> 10, py >> 10));
                    continue;
                }
                const std::int64_t ix = px >> 10, iy = py >> 10;
                const double u = static_cast<double>(px >> 5 & 31) / 32, v = static_cast<double>(py >> 5 & 31) / 32;
                std::array<double, 4> wx{0, 1 - u, u, 0}, wy{0, 1 - v, v, 0};
                if (interpolation == WarpInterpolation::Cubic) {
                    wx = cubicWeights(u, -0.75);
                    wy = cubicWeights(v, -0.75);
                }
                double sum = 0;
                for (int j = 0; j < 4; ++j)
                    for (int i = 0; i < 4; ++i)
                        if (wy[j] * wx[i] != 0) sum += wy[j] * wx[i] * source.at(ix + i - 1, iy + j - 1);
                out(x, y) = convertValue<std::uint8_t>(sum);
            }
        }
    });
}

#define MEDSEG_INSTANTIATE(T)                                                                                       \
    template std::vector<double> mapCoordinates<T>(const Volume<T>&, std::span<const Vec3>, const SampleOptions&);  \
    template Volume<T> elasticDeform<T>(const Volume<T>&, const Volume<float>&, const Volume<float>&,               \
                                        const Volume<float>*, const SampleOptions&);                                \
    template Volume<T> affineTransform<T>(const Volume<T>&, const std::array<Vec3, 3>&, const Vec3&, const Index3&, \
                                          const SampleOptions&);                                                    \
    template Volume<T> rotateVolume<T>(const Volume<T>&, double, RotationPlane, bool, const SampleOptions&);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::int32_t)
MEDSEG_INSTANTIATE(float)
MEDSEG_INSTANTIATE(double)
#undef MEDSEG_INSTANTIATE

}  // namespace medseg
