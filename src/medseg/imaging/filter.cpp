#include "medseg/imaging/filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/convert.h"

namespace medseg {
namespace {

/// Correlation weights of an odd kernel around its centre.
using Kernel = std::vector<double>;

Kernel gaussianKernel(double sigma, std::int64_t radius) {
    Kernel kernel(2 * radius + 1);
    double sum = 0;
    for (std::int64_t i = -radius; i <= radius; ++i)
        sum += kernel[i + radius] = std::exp(-0.5 / (sigma * sigma) * static_cast<double>(i * i));
    for (double& weight : kernel) weight /= sum;
    return kernel;
}

// Filters wrap with the period of the line; interpolation's Wrap does not.
Boundary filterBoundary(Boundary boundary) {
    return boundary == Boundary::Wrap ? Boundary::GridWrap : boundary;
}

// out[i] = sum over t of kernel[t] * line[i + t * step]. Symmetric kernels add the two samples of equal weight first,
// the middle one before all others: scipy's order, so that single-precision results round the same way.
void correlate(const Kernel& kernel, const double* line, std::int64_t step, std::int64_t count, double* out) {
    const auto radius = static_cast<std::int64_t>(kernel.size() / 2);
    const double* middle = line + radius * step;
    const double center = kernel[radius];
    for (std::int64_t i = 0; i < count; ++i) out[i] = center * middle[i];
    const bool symmetric = std::equal(kernel.begin(), kernel.begin() + radius, kernel.rbegin());
    for (std::int64_t t = radius; t >= 1; --t) {
        const double *before = middle - t * step, *after = middle + t * step;
        const double a = kernel[radius - t], b = kernel[radius + t];
        if (symmetric) {
            for (std::int64_t i = 0; i < count; ++i) out[i] += (before[i] + after[i]) * a;
        } else {
            for (std::int64_t i = 0; i < count; ++i) out[i] += before[i] * a + after[i] * b;
        }
    }
}

// Works in place too: a row is copied before it is written.
template <typename T>
void filterRows(const T* in, const Index3& size, const Kernel& kernel, Boundary boundary, double fill, T* out) {
    const std::int64_t nx = size[0], radius = static_cast<std::int64_t>(kernel.size() / 2);
    parallelFor(0, size[1] * size[2], 64, [&](std::int64_t first, std::int64_t last) {
        std::vector<double> line(nx + 2 * radius), sums(nx);
        for (std::int64_t row = first; row < last; ++row) {
            const T* source = in + row * nx;
            for (std::int64_t x = -radius; x < nx + radius; ++x) {
                const std::int64_t index = mapIndex(x, nx, boundary);
                line[x + radius] = index < 0 ? fill : static_cast<double>(source[index]);
            }
            correlate(kernel, line.data(), 1, nx, sums.data());
            for (std::int64_t x = 0; x < nx; ++x) out[row * nx + x] = convertValue<T>(sums[x]);
        }
    });
}

// Filters along y or z in tiles of neighbouring columns that are copied first, so that it also works in place.
template <typename T>
void filterAcross(const T* in, const Index3& size, int axis, const Kernel& kernel, Boundary boundary, double fill,
                  T* out) {
    constexpr std::int64_t kLanes = 32;
    const std::int64_t nx = size[0], n = size[axis], radius = static_cast<std::int64_t>(kernel.size() / 2);
    const std::int64_t step = axis == 1 ? nx : nx * size[1];
    const std::int64_t outer = axis == 1 ? size[2] : size[1];
    const std::int64_t outerStep = axis == 1 ? nx * size[1] : nx;
    parallelFor(0, outer, 1, [&](std::int64_t first, std::int64_t last) {
        std::vector<double> lines((n + 2 * radius) * kLanes);
        std::array<double, kLanes> sums;
        for (std::int64_t o = first; o < last; ++o)
            for (std::int64_t x = 0; x < nx; x += kLanes) {
                const std::int64_t base = o * outerStep + x, lanes = std::min(kLanes, nx - x);
                for (std::int64_t p = -radius; p < n + radius; ++p) {
                    const std::int64_t index = mapIndex(p, n, boundary);
                    double* line = lines.data() + (p + radius) * kLanes;
                    if (index < 0)
                        std::fill_n(line, kLanes, fill);
                    else
                        for (std::int64_t l = 0; l < lanes; ++l)
                            line[l] = static_cast<double>(in[base + index * step + l]);
                }
                for (std::int64_t p = 0; p < n; ++p) {
                    correlate(kernel, lines.data() + p * kLanes, kLanes, kLanes, sums.data());
                    for (std::int64_t l = 0; l < lanes; ++l) out[base + p * step + l] = convertValue<T>(sums[l]);
                }
            }
    });
}

// Applies the kernels of the axes one after the other, third axis first (scipy's first array axis). `in` may be `out`.
template <typename T>
void filterInto(const T* in, const Index3& size, const std::array<std::optional<Kernel>, 3>& kernels, Boundary boundary,
                double fill, T* out) {
    boundary = filterBoundary(boundary);
    const T* source = in;
    for (const int axis : {2, 1, 0}) {
        if (!kernels[axis]) continue;
        if (axis == 0)
            filterRows(source, size, *kernels[0], boundary, fill, out);
        else
            filterAcross(source, size, axis, *kernels[axis], boundary, fill, out);
        source = out;
    }
    if (source != out) std::copy_n(source, size[0] * size[1] * size[2], out);
}

template <typename T>
Volume<T> filterSeparable(const Volume<T>& volume, const std::array<std::optional<Kernel>, 3>& kernels,
                          Boundary boundary, double fill) {
    if (volume.empty()) throw DataError("filter of a volume without voxels");
    Volume<T> out(volume.geometry());
    filterInto(volume.data(), volume.size(), kernels, boundary, fill, out.data());
    return out;
}

std::optional<Kernel> gaussianOfAxis(double sigma, double truncate) {
    if (!std::isfinite(sigma) || sigma < 0 || !(truncate > 0) || truncate * sigma > 1e5)
        throw UsageError(
            fmt::format("Gaussian of sigma {} truncated at {} sigma: use finite positive values", sigma, truncate));
    if (sigma <= 1e-15) return std::nullopt;
    return gaussianKernel(sigma, static_cast<std::int64_t>(truncate * sigma + 0.5));
}

void requireKernelSize(int size) {
    if (size < 1 || size % 2 == 0 || size > 101)
        throw UsageError(fmt::format("filter of size {}: use an odd size up to 101", size));
}

std::array<std::optional<Kernel>, 3> gaussianKernels(const Vec3& sigma, double truncate) {
    std::array<std::optional<Kernel>, 3> kernels;
    for (int axis = 0; axis < 3; ++axis) kernels[axis] = gaussianOfAxis(sigma[axis], truncate);
    return kernels;
}

Vec3 inVoxels(double sigmaMm, const Vec3& spacing) {
    return {sigmaMm / spacing[0], sigmaMm / spacing[1], sigmaMm / spacing[2]};
}

}  // namespace

template <typename T>
Volume<T> gaussianFilter(const Volume<T>& volume, const Vec3& sigma, const GaussianOptions& options) {
    return filterSeparable(volume, gaussianKernels(sigma, options.truncate), options.boundary, options.fill);
}

template <typename T>
Volume<T> gaussianFilterMm(const Volume<T>& volume, double sigmaMm, const GaussianOptions& options) {
    return gaussianFilter(volume, inVoxels(sigmaMm, volume.geometry().spacing()), options);
}

template <typename T>
void smoothInPlace(Volume<T>& volume, double sigmaMm, const GaussianOptions& options) {
    if (volume.empty()) throw DataError("filter of a volume without voxels");
    filterInto(volume.data(), volume.size(),
               gaussianKernels(inVoxels(sigmaMm, volume.geometry().spacing()), options.truncate), options.boundary,
               options.fill, volume.data());
}

void gaussianBlur(SliceView<const float> in, int size, double sigma, SliceView<float> out) {
    requireKernelSize(size);
    if (!(sigma > 0) || !std::isfinite(sigma))
        throw UsageError(fmt::format("Gaussian of sigma {}: use a positive value", sigma));
    if (in.width != out.width || in.height != out.height) throw DataError("blur: input and output differ in size");
    Volume<float> image(Geometry::axisAligned({in.width, in.height, 1}, {1, 1, 1}));
    for (std::int64_t y = 0; y < in.height; ++y) std::copy_n(in.row(y), in.width, &image(0, y, 0));
    const Kernel kernel = gaussianKernel(sigma, size / 2);
    const Volume<float> blurred = filterSeparable<float>(image, {kernel, kernel, std::nullopt}, Boundary::Mirror, 0);
    for (std::int64_t y = 0; y < in.height; ++y) std::copy_n(&blurred(0, y, 0), in.width, out.row(y));
}

template <typename T>
Volume<T> uniformFilter(const Volume<T>& volume, int size, Boundary boundary) {
    requireKernelSize(size);
    std::array<std::optional<Kernel>, 3> kernels;
    for (int axis = 0; axis < 3; ++axis)
        if (volume.size()[axis] > 1) kernels[axis] = Kernel(size, 1.0 / size);
    return filterSeparable(volume, kernels, boundary, 0);
}

template <typename T>
Volume<T> sobelFilter(const Volume<T>& volume, int axis, Boundary boundary) {
    if (axis < 0 || axis > 2) throw UsageError(fmt::format("Sobel filter along axis {}: use 0, 1 or 2", axis));
    std::array<std::optional<Kernel>, 3> kernels;
    for (int a = 0; a < 3; ++a)
        if (a == axis || volume.size()[a] > 1) kernels[a] = a == axis ? Kernel{-1, 0, 1} : Kernel{1, 2, 1};
    return filterSeparable(volume, kernels, boundary, 0);
}

template <typename T>
Volume<T> medianFilter(const Volume<T>& volume, int size, Boundary boundary) {
    if (volume.empty()) throw DataError("filter of a volume without voxels");
    requireKernelSize(size);
    boundary = filterBoundary(boundary);
    const auto [nx, ny, nz] = volume.size();
    const std::int64_t radius = size / 2;
    const std::int64_t radiusZ = nz > 1 ? radius : 0, radiusY = ny > 1 ? radius : 0, radiusX = nx > 1 ? radius : 0;
    Volume<T> out(volume.geometry());
    parallelFor(0, ny * nz, 8, [&, nx = nx, ny = ny, nz = nz](std::int64_t first, std::int64_t last) {
        std::vector<T> window;
        std::vector<const T*> rows;
        for (std::int64_t r = first; r < last; ++r) {
            rows.clear();
            for (std::int64_t dz = -radiusZ; dz <= radiusZ; ++dz)
                for (std::int64_t dy = -radiusY; dy <= radiusY; ++dy) {
                    const std::int64_t y = mapIndex(r % ny + dy, ny, boundary), z = mapIndex(r / ny + dz, nz, boundary);
                    rows.push_back(y < 0 || z < 0 ? nullptr : volume.data() + nx * (y + ny * z));
                }
            for (std::int64_t x = 0; x < nx; ++x) {
                window.clear();
                for (std::int64_t dx = -radiusX; dx <= radiusX; ++dx) {
                    const std::int64_t index = mapIndex(x + dx, nx, boundary);
                    for (const T* row : rows) window.push_back(row == nullptr || index < 0 ? T{0} : row[index]);
                }
                const auto middle = window.begin() + static_cast<std::ptrdiff_t>(window.size() / 2);
                std::nth_element(window.begin(), middle, window.end());
                out.data()[r * nx + x] = *middle;
            }
        }
    });
    return out;
}

#define MEDSEG_INSTANTIATE(T)                                                                    \
    template Volume<T> gaussianFilter<T>(const Volume<T>&, const Vec3&, const GaussianOptions&); \
    template Volume<T> gaussianFilterMm<T>(const Volume<T>&, double, const GaussianOptions&);    \
    template void smoothInPlace<T>(Volume<T>&, double, const GaussianOptions&);                  \
    template Volume<T> uniformFilter<T>(const Volume<T>&, int, Boundary);                        \
    template Volume<T> sobelFilter<T>(const Volume<T>&, int, Boundary);                          \
    template Volume<T> medianFilter<T>(const Volume<T>&, int, Boundary);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::int32_t)
MEDSEG_INSTANTIATE(float)
MEDSEG_INSTANTIATE(double)
#undef MEDSEG_INSTANTIATE

}  // namespace medseg
