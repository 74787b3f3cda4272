#include "medseg/imaging/distance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/runs.h"

namespace medseg {
namespace {

// The transform runs axis by axis. Along x the mask gives the distance directly; along y and z every voxel takes the
// minimum of f(q) + (s (p - q))^2 over its line (Saito and Toriwaki 1994). The search runs over 16 neighbouring lines
// at once and stops at the radius that the result of the voxel before allows: distances change by at most s from voxel
// to voxel. Lines of one tile stay in the first-level cache.
constexpr std::int64_t kLanes = 16;

template <typename Out>
constexpr Out kInfinity = std::numeric_limits<Out>::infinity();

// Squared distance along x to the nearest voxel of the searched kind; 0 on it.
template <RunKind Kind, typename In, typename Out>
void firstAxis(const In* row, std::int64_t n, double spacing, Out* out) {
    std::int64_t done = 0;
    // `Kind` runs are the voxels that get a distance.
    runs::forRow<Kind>(row, n, [&](std::int64_t x0, std::int64_t x1, In) {
        std::fill(out + done, out + x0, Out{0});
        done = x1;
        const bool left = x0 > 0, right = x1 < n;
        if (!left && !right) {
            std::fill(out + x0, out + x1, kInfinity<Out>);
            return;
        }
        const std::int64_t middle = left && right ? (x0 + x1 + 1) / 2 : left ? x1 : x0;
        for (std::int64_t x = x0; x < middle; ++x) {
            const double distance = spacing * static_cast<double>(x - x0 + 1);
            out[x] = static_cast<Out>(distance * distance);
        }
        for (std::int64_t x = middle; x < x1; ++x) {
            const double distance = spacing * static_cast<double>(x1 - x);
            out[x] = static_cast<Out>(distance * distance);
        }
    });
    std::fill(out + done, out + n, Out{0});
}

// Costs of k steps along an axis, and how a step's cost and a value combine.
template <typename Out>
struct Squared {
    std::vector<Out> cost;
    double spacing;
    Squared(std::int64_t n, double s) : cost(n), spacing(s) {
        for (std::int64_t k = 0; k < n; ++k)
            cost[k] = static_cast<Out>((s * static_cast<double>(k)) * (s * static_cast<double>(k)));
    }
    static Out combine(Out value, Out step) { return value + step; }
    // Steps after which a result below `bound` cannot come; `previous` is the largest result at the voxel before.
    std::int64_t radius(Out bound, Out previous, std::int64_t n) const {
        const double fromBound = std::sqrt(static_cast<double>(bound)) / spacing;
        const double fromPrevious = std::sqrt(static_cast<double>(previous)) / spacing + 1;
        const double steps = std::min(fromBound, fromPrevious) * (1 + 1e-6) + 1;
        return steps < static_cast<double>(n) ? static_cast<std::int64_t>(steps) : n - 1;
    }
};

// Results of one line position for kLanes lines; `lines` holds the values before this axis, `n` positions of kLanes.
template <typename Out, typename Metric>
void searchLines(const Out* lines, std::int64_t n, const Metric& metric, Out* result) {
    Out previous = kInfinity<Out>;
    for (std::int64_t p = 0; p < n; ++p) {
        const Out* here = lines + p * kLanes;
        std::array<Out, kLanes> best;
        std::copy_n(here, kLanes, best.data());
        Out largest = best[0];
        for (std::int64_t l = 1; l < kLanes; ++l) largest = std::max(largest, best[l]);
        if (largest != 0) {
            const std::int64_t radius = metric.radius(largest, previous, n);
            const std::int64_t before = std::min(radius, p), after = std::min(radius, n - 1 - p);
            const std::int64_t both = std::min(before, after);
            for (std::int64_t k = 1; k <= both; ++k) {
                const Out step = metric.cost[k];
                const Out* a = here - k * kLanes;
                const Out* b = here + k * kLanes;
                for (std::int64_t l = 0; l < kLanes; ++l) {
                    const Out nearer = a[l] < b[l] ? a[l] : b[l];
                    const Out candidate = Metric::combine(nearer, step);
                    best[l] = candidate < best[l] ? candidate : best[l];
                }
            }
            for (std::int64_t k = both + 1; k <= std::max(before, after); ++k) {
                const Out step = metric.cost[k];
                const Out* a = k <= before ? here - k * kLanes : here + k * kLanes;
                for (std::int64_t l = 0; l < kLanes; ++l) {
                    const Out candidate = Metric::combine(a[l], step);
                    best[l] = candidate < best[l] ? candidate : best[l];
                }
            }
            largest = best[0];
            for (std::int64_t l = 1; l < kLanes; ++l) largest = std::max(largest, best[l]);
        }
        previous = largest;
        std::copy_n(best.data(), kLanes, result + p * kLanes);
    }
}

// Runs `metric` along `axis` (1 or 2), in place, in tiles of kLanes lines that are contiguous in x.
template <typename Out, typename Metric>
void searchAxis(Volume<Out>& volume, int axis, const Metric& metric) {
    const std::int64_t nx = volume.nx(), n = volume.size()[axis];
    if (n == 1) return;
    const std::int64_t step = axis == 1 ? nx : nx * volume.ny();
    const std::int64_t outer = axis == 1 ? volume.nz() : volume.ny();
    const std::int64_t outerStep = axis == 1 ? nx * volume.ny() : nx;
    parallelFor(0, outer, 1, [&](std::int64_t first, std::int64_t last) {
        std::vector<Out> lines(n * kLanes), result(n * kLanes);
        for (std::int64_t o = first; o < last; ++o)
            for (std::int64_t x = 0; x < nx; x += kLanes) {
                Out* base = volume.data() + o * outerStep + x;
                const std::int64_t lanes = std::min(kLanes, nx - x);
                bool anything = false;
                for (std::int64_t p = 0; p < n; ++p)
                    for (std::int64_t l = 0; l < kLanes; ++l) {
                        const Out value = base[p * step + std::min(l, lanes - 1)];
                        lines[p * kLanes + l] = value;
                        anything |= value != 0;
                    }
                if (!anything) continue;
                searchLines(lines.data(), n, metric, result.data());
                for (std::int64_t p = 0; p < n; ++p) std::copy_n(result.data() + p * kLanes, lanes, base + p * step);
            }
    });
}

template <RunKind Kind, typename Out, typename In>
Volume<Out> squaredDistance(const Volume<In>& mask) {
    if (mask.empty()) throw DataError("distance transform of a volume without voxels");
    Volume<Out> out(mask.geometry());
    const Vec3 spacing = mask.geometry().spacing();
    const std::int64_t nx = mask.nx();
    parallelFor(0, mask.ny() * mask.nz(), 256, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row)
            firstAxis<Kind>(mask.data() + row * nx, nx, spacing[0], out.data() + row * nx);
    });
    searchAxis(out, 1, Squared<Out>(mask.ny(), spacing[1]));
    searchAxis(out, 2, Squared<Out>(mask.nz(), spacing[2]));
    return out;
}

template <typename Out>
void takeRoots(Volume<Out>& volume) {
    parallelFor(0, volume.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) volume.data()[i] = std::sqrt(volume.data()[i]);
    });
}

// Along one axis the largest of steps and value; used with float lanes (exact below 2^24 voxels).
struct LargestStep {
    std::vector<float> cost;
    explicit LargestStep(std::int64_t n) : cost(n) {
        for (std::int64_t k = 0; k < n; ++k) cost[k] = static_cast<float>(k);
    }
    static float combine(float value, float step) { return value > step ? value : step; }
    std::int64_t radius(float bound, float previous, std::int64_t n) const {
        return static_cast<std::int64_t>(std::min({bound, previous + 1, static_cast<float>(n - 1)}));
    }
};
struct SumOfSteps : LargestStep {
    using LargestStep::LargestStep;
    static float combine(float value, float step) { return value + step; }
};

}  // namespace

template <typename Out, typename In>
Volume<Out> squaredDistanceToZero(const Volume<In>& mask) {
    return squaredDistance<RunKind::NonZero, Out>(mask);
}

template <typename Out, typename In>
Volume<Out> distanceToZero(const Volume<In>& mask) {
    Volume<Out> out = squaredDistance<RunKind::NonZero, Out>(mask);
    takeRoots(out);
    return out;
}

template <typename Out, typename In>
Volume<Out> distanceToMask(const Volume<In>& mask) {
    Volume<Out> out = squaredDistance<RunKind::Zero, Out>(mask);
    takeRoots(out);
    return out;
}

template <typename Out, typename In>
Volume<Out> signedDistance(const Volume<In>& mask) {
    Volume<Out> outside = squaredDistance<RunKind::Zero, Out>(mask);
    const Volume<Out> inside = squaredDistance<RunKind::NonZero, Out>(mask);
    parallelFor(0, mask.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
            outside.data()[i] = mask.data()[i] != 0 ? -std::sqrt(inside.data()[i]) : std::sqrt(outside.data()[i]);
    });
    return outside;
}

template <typename In>
Volume<std::int32_t> gridDistanceToZero(const Volume<In>& mask, GridMetric metric) {
    if (mask.empty()) throw DataError("distance transform of a volume without voxels");
    Volume<float> steps(mask.geometry());
    const std::int64_t nx = mask.nx();
    parallelFor(0, mask.ny() * mask.nz(), 256, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
            float* out = steps.data() + row * nx;
            firstAxis<RunKind::NonZero>(mask.data() + row * nx, nx, 1.0, out);
            for (std::int64_t x = 0; x < nx; ++x) out[x] = std::sqrt(out[x]);
        }
    });
    for (int axis = 1; axis < 3; ++axis) {
        if (metric == GridMetric::Chessboard)
            searchAxis(steps, axis, LargestStep(mask.size()[axis]));
        else
            searchAxis(steps, axis, SumOfSteps(mask.size()[axis]));
    }
    Volume<std::int32_t> out(mask.geometry());
    parallelFor(0, out.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
            out.data()[i] = std::isfinite(steps.data()[i]) ? static_cast<std::int32_t>(steps.data()[i]) : -1;
    });
    return out;
}

#define MEDSEG_INSTANTIATE_PAIR(Out, In)                                    \
    template Volume<Out> distanceToZero<Out, In>(const Volume<In>&);        \
    template Volume<Out> squaredDistanceToZero<Out, In>(const Volume<In>&); \
    template Volume<Out> distanceToMask<Out, In>(const Volume<In>&);        \
    template Volume<Out> signedDistance<Out, In>(const Volume<In>&);
#define MEDSEG_INSTANTIATE(In)          \
    MEDSEG_INSTANTIATE_PAIR(float, In)  \
    MEDSEG_INSTANTIATE_PAIR(double, In) \
    template Volume<std::int32_t> gridDistanceToZero<In>(const Volume<In>&, GridMetric);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::uint16_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::uint32_t)
MEDSEG_INSTANTIATE(std::int32_t)
#undef MEDSEG_INSTANTIATE
#undef MEDSEG_INSTANTIATE_PAIR

}  // namespace medseg
