#include "medseg/imaging/grid_sample.h"

#include <algorithm>
#include <cmath>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/cubic_kernel.h"

namespace medseg {
namespace {

float unnormalize(float x, std::int64_t n, bool alignCorners) {
    const auto size = static_cast<float>(n);
    return alignCorners ? (x + 1) / 2 * (size - 1) : ((x + 1) * size - 1) / 2;
}

// Reflects about the lines at low / 2 and high / 2.
float reflect(float x, std::int64_t low, std::int64_t high) {
    if (low == high) return 0;
    const float least = static_cast<float>(low) / 2, span = static_cast<float>(high - low) / 2;
    x = std::abs(x - least);
    const float extra = std::fmod(x, span);
    const auto flips = static_cast<std::int64_t>(std::floor(x / span));
    return flips % 2 == 0 ? extra + least : span - extra + least;
}

float pad(float x, std::int64_t n, const GridSampleOptions& options) {
    if (options.padding == GridPadding::Zeros) return x;
    if (!std::isfinite(x)) return 0;
    if (options.padding == GridPadding::Reflection)
        x = options.alignCorners ? reflect(x, 0, 2 * (n - 1)) : reflect(x, -1, 2 * n - 1);
    return std::clamp(x, 0.0F, static_cast<float>(n - 1));
}

struct Sampler {
    const Volume<float>& volume;
    const GridSampleOptions& options;
    int dimensions;

    bool inside(std::int64_t x, std::int64_t y, std::int64_t z) const {
        return x >= 0 && y >= 0 && z >= 0 && x < volume.nx() && y < volume.ny() && z < volume.nz();
    }
    double value(std::int64_t x, std::int64_t y, std::int64_t z) const {
        return inside(x, y, z) ? static_cast<double>(volume(x, y, z)) : 0.0;
    }

    // Far outside: nothing to read, and no conversion that could overflow.
    static bool isFar(float x, std::int64_t n) { return !(x > -3 && x < static_cast<float>(n) + 3); }

    float nearest(const std::array<float, 3>& at) const {
        std::array<std::int64_t, 3> index{};
        for (int axis = 0; axis < dimensions; ++axis) {
            if (isFar(at[axis], volume.size()[axis])) return 0;
            index[axis] = static_cast<std::int64_t>(std::nearbyint(at[axis]));
        }
        return static_cast<float>(value(index[0], index[1], index[2]));
    }

    float linear(const std::array<float, 3>& at) const {
        std::array<std::int64_t, 3> low{};
        std::array<double, 3> part{};
        for (int axis = 0; axis < dimensions; ++axis) {
            if (isFar(at[axis], volume.size()[axis])) return 0;
            low[axis] = static_cast<std::int64_t>(std::floor(at[axis]));
            part[axis] = static_cast<double>(at[axis]) - static_cast<double>(low[axis]);
        }
        double sum = 0;
        for (int corner = 0; corner < (1 << dimensions); ++corner) {
            const int cx = corner & 1, cy = corner >> 1 & 1, cz = corner >> 2;
            const double weight =
                (cx ? part[0] : 1 - part[0]) * (cy ? part[1] : 1 - part[1]) * (cz ? part[2] : 1 - part[2]);
            if (weight != 0) sum += weight * value(low[0] + cx, low[1] + cy, low[2] + cz);
        }
        return static_cast<float>(sum);
    }

    // Padding moves each of the 16 taps, not the position.
    float cubic(const std::array<float, 3>& at) const {
        std::array<std::array<std::int64_t, 4>, 2> index;
        std::array<std::array<double, 4>, 2> weight;
        for (int axis = 0; axis < 2; ++axis) {
            const std::int64_t n = volume.size()[axis];
            const float low = std::floor(at[axis]);
            if (!std::isfinite(low) || (options.padding == GridPadding::Zeros && isFar(low, n))) return 0;
            weight[axis] = cubicWeights(static_cast<double>(at[axis]) - static_cast<double>(low), -0.75);
            for (int t = 0; t < 4; ++t)
                index[axis][t] = static_cast<std::int64_t>(pad(low + static_cast<float>(t - 1), n, options));
        }
        double sum = 0;
        for (int j = 0; j < 4; ++j)
            for (int i = 0; i < 4; ++i) sum += weight[1][j] * weight[0][i] * value(index[0][i], index[1][j], 0);
        return static_cast<float>(sum);
    }
};

}  // namespace

std::vector<float> gridSample(const Volume<float>& volume, std::span<const std::array<float, 3>> grid,
                              const GridSampleOptions& options) {
    if (volume.empty()) throw DataError("cannot sample a volume without voxels");
    const int dimensions = volume.nz() == 1 ? 2 : 3;
    if (options.mode == GridSampleMode::Cubic && dimensions == 3)
        throw UsageError("grid sampling: cubic works on slices, use linear for volumes");
    const Sampler sampler{volume, options, dimensions};
    std::vector<float> out(grid.size());
    parallelFor(0, static_cast<std::int64_t>(grid.size()), 1024, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) {
            std::array<float, 3> at{};
            for (int axis = 0; axis < dimensions; ++axis) {
                at[axis] = unnormalize(grid[i][axis], volume.size()[axis], options.alignCorners);
                if (options.mode != GridSampleMode::Cubic) at[axis] = pad(at[axis], volume.size()[axis], options);
            }
            switch (options.mode) {
                case GridSampleMode::Nearest:
                    out[i] = sampler.nearest(at);
                    break;
                case GridSampleMode::Linear:
                    out[i] = sampler.linear(at);
                    break;
                default:
                    out[i] = sampler.cubic(at);
            }
        }
    });
    return out;
}

std::vector<std::array<float, 3>> affineGrid(const std::array<std::array<double, 3>, 2>& theta, std::int64_t width,
                                             std::int64_t height, bool alignCorners) {
    const auto coordinate = [alignCorners](std::int64_t i, std::int64_t n) {
        if (n == 1) return 0.0;
        const double x = 2.0 * static_cast<double>(i) / static_cast<double>(n - 1) - 1;
        return alignCorners ? x : x * static_cast<double>(n - 1) / static_cast<double>(n);
    };
    std::vector<std::array<float, 3>> grid(width * height);
    for (std::int64_t y = 0; y < height; ++y)
        for (std::int64_t x = 0; x < width; ++x) {
            const double u = coordinate(x, width), v = coordinate(y, height);
            for (int row = 0; row < 2; ++row)
                grid[x + width * y][row] = static_cast<float>(theta[row][0] * u + theta[row][1] * v + theta[row][2]);
        }
    return grid;
}

}  // namespace medseg
