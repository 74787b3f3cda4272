#include "medseg/imaging/spline_sampler.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

// Prefilters all lines along `axis` of a float volume; slabs of rows share one scratch of doubles.
void prefilterAxis(float* data, const Index3& size, int axis, int order, LineEnds ends) {
    const std::int64_t nx = size[0], n = size[axis];
    if (n < 2) return;
    if (axis == 0) {
        constexpr std::int64_t kLanes = 8;
        const std::int64_t rows = size[1] * size[2];
        parallelFor(0, (rows + kLanes - 1) / kLanes, 16, [&](std::int64_t first, std::int64_t last) {
            std::vector<double> lines(nx * kLanes);
            for (std::int64_t group = first; group < last; ++group) {
                const std::int64_t row = group * kLanes, count = std::min(kLanes, rows - row);
                for (std::int64_t l = 0; l < kLanes; ++l)
                    for (std::int64_t x = 0; x < nx; ++x)
                        lines[x * kLanes + l] = data[(row + std::min(l, count - 1)) * nx + x];
                splinePrefilter(lines.data(), nx, kLanes, kLanes, order, ends);
                for (std::int64_t l = 0; l < count; ++l)
                    for (std::int64_t x = 0; x < nx; ++x)
                        data[(row + l) * nx + x] = static_cast<float>(lines[x * kLanes + l]);
            }
        });
        return;
    }
    const std::int64_t outer = axis == 1 ? size[2] : size[1];
    const std::int64_t step = axis == 1 ? nx : nx * size[1];
    const std::int64_t outerStep = axis == 1 ? nx * size[1] : nx;
    parallelFor(0, outer, 1, [&](std::int64_t first, std::int64_t last) {
        std::vector<double> lines(n * nx);
        for (std::int64_t o = first; o < last; ++o) {
            float* base = data + o * outerStep;
            for (std::int64_t i = 0; i < n; ++i) std::copy_n(base + i * step, nx, lines.data() + i * nx);
            splinePrefilter(lines.data(), n, nx, nx, order, ends);
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t x = 0; x < nx; ++x) base[i * step + x] = static_cast<float>(lines[i * nx + x]);
        }
    });
}

}  // namespace

template <typename T>
SplineSampler::SplineSampler(const T* samples, const Index3& size, int order, Boundary boundary, double fill)
    : order_(order), boundary_(boundary), fill_(fill) {
    if (order < 0 || order > kMaxSplineOrder)
        throw UsageError(fmt::format("spline order {} is outside 0..{}", order, kMaxSplineOrder));
    tapBoundary_ = boundary == Boundary::Constant || boundary == Boundary::Wrap ? Boundary::Mirror : boundary;
    for (int axis = 0; axis < 3; ++axis) {
        // Slices are volumes whose third axis has one voxel: nothing is interpolated across it.
        flat_[axis] = axis == 2 && size[2] == 1;
        padding_[axis] = flat_[axis] ? 0 : prefilterPadding(boundary, order);
        size_[axis] = size[axis] + 2 * padding_[axis];
    }
    coefficients_ = allocateVoxels<float>(size_[0] * size_[1] * size_[2]);
    const auto padded = static_cast<float>(fill);
    const bool padWithFill = boundary == Boundary::GridConstant;
    parallelFor(0, size_[1] * size_[2], 64, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
            const std::int64_t y = row % size_[1] - padding_[1], z = row / size_[1] - padding_[2];
            float* out = coefficients_.get() + row * size_[0];
            const bool outside = y < 0 || y >= size[1] || z < 0 || z >= size[2];
            if (outside && padWithFill) {
                std::fill_n(out, size_[0], padded);
                continue;
            }
            const T* in = samples + size[0] * (std::clamp<std::int64_t>(y, 0, size[1] - 1) +
                                               size[1] * std::clamp<std::int64_t>(z, 0, size[2] - 1));
            std::fill_n(out, padding_[0], padWithFill ? padded : static_cast<float>(in[0]));
            for (std::int64_t x = 0; x < size[0]; ++x) out[padding_[0] + x] = static_cast<float>(in[x]);
            std::fill_n(out + padding_[0] + size[0], padding_[0],
                        padWithFill ? padded : static_cast<float>(in[size[0] - 1]));
        }
    });
    if (order > 1)
        for (int axis = 0; axis < 3; ++axis)
            if (!flat_[axis]) prefilterAxis(coefficients_.get(), size_, axis, order, prefilterEnds(boundary));
}

template SplineSampler::SplineSampler(const std::uint8_t*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const std::int8_t*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const std::uint16_t*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const std::int16_t*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const std::uint32_t*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const std::int32_t*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const float*, const Index3&, int, Boundary, double);
template SplineSampler::SplineSampler(const double*, const Index3&, int, Boundary, double);

}  // namespace medseg
