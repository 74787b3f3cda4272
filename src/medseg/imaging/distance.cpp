#include "medseg/imaging/distance.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/crop.h"
#include "medseg/imaging/runs.h"

namespace medseg {
namespace {

// The transform runs axis by axis. Along x the mask gives the distance directly; along y and z every voxel takes the
// minimum of f(q) + (s (p - q))^2 over its line (Saito and Toriwaki 1994), for 16 neighbouring lines at once. The best
// q does not move back when p moves on, so the middle of a stretch is solved first and bounds the search on both sides
// of it; f(p) itself bounds how far a better q can lie. Lines of one tile stay in the second-level cache at most.
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

// Sixteen values of one position, and sixteen indices of the same width.
template <typename Out>
struct Lanes;
template <>
struct Lanes<float> {
    typedef float Values __attribute__((vector_size(kLanes * sizeof(float))));
    typedef std::int32_t Indices __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
};
template <>
struct Lanes<double> {
    typedef double Values __attribute__((vector_size(kLanes * sizeof(double))));
    typedef std::int64_t Indices __attribute__((vector_size(kLanes * sizeof(std::int64_t))));
};

template <typename Out>
class SquaredSearch {
  public:
    SquaredSearch(std::int64_t n, double spacing) : cost_(n), perStep_(static_cast<Out>((1 + 1e-6) / spacing)) {
        for (std::int64_t k = 0; k < n; ++k) {
            const double distance = spacing * static_cast<double>(k);
            cost_[k] = static_cast<Out>(distance * distance);
        }
    }

    /// `lines` holds the values before this axis, n positions of kLanes; the results go to `result`.
    void operator()(const Out* lines, std::int64_t n, Out* result) const {
        // A nearest voxel lies where a value is finite. A line of the first axes has one everywhere or nowhere.
        std::int64_t finiteBegin = 0, finiteEnd = n;
        while (finiteBegin < finiteEnd && isInfinite(lines + finiteBegin * kLanes)) ++finiteBegin;
        while (finiteEnd > finiteBegin && isInfinite(lines + (finiteEnd - 1) * kLanes)) --finiteEnd;
        if (finiteBegin == finiteEnd) {
            std::fill_n(result, n * kLanes, kInfinity<Out>);
            return;
        }
        // Positions where all lanes are 0 stay 0 and cut the line into stretches that do not see each other.
        std::int64_t p = 0;
        while (p < n) {
            if (isZero(lines + p * kLanes)) {
                std::fill_n(result + p * kLanes, kLanes, Out{0});
                ++p;
                continue;
            }
            std::int64_t end = p + 1;
            while (end < n && !isZero(lines + end * kLanes)) ++end;
            solve(lines, p, end, std::max(finiteBegin, p - 1), std::min(end, finiteEnd - 1), result);
            p = end;
        }
    }

  private:
    using Values = typename Lanes<Out>::Values;
    using Indices = typename Lanes<Out>::Indices;

    using Index = std::conditional_t<sizeof(Out) == 4, std::int32_t, std::int64_t>;

    // Values are not negative: their bits compare as integers do, which makes the reductions plain vector code.
    static Index largestBits(const Out* values) {
        std::array<Index, kLanes> bits;
        std::memcpy(bits.data(), values, sizeof bits);
        Index largest = bits[0];
        for (std::int64_t l = 1; l < kLanes; ++l) largest = std::max(largest, bits[l]);
        return largest;
    }
    static bool isZero(const Out* values) { return largestBits(values) == 0; }
    static bool isInfinite(const Out* values) {
        return std::all_of(values, values + kLanes, [](Out v) { return v == kInfinity<Out>; });
    }
    static Values load(const Out* values) {
        Values v;
        std::memcpy(&v, values, sizeof v);
        return v;
    }

    // How far from p a value below f(p) can come from, for the largest f(p) of the lanes.
    std::int64_t radius(const Out* values) const {
        const Out largest = std::bit_cast<Out>(largestBits(values));
        const Out steps = std::sqrt(largest) * perStep_;
        return steps < Out{1e9} ? static_cast<std::int64_t>(steps) + 1 : std::int64_t{1'000'000'000};
    }

    // Positions [first, end) with candidates [low, high].
    void solve(const Out* lines, std::int64_t first, std::int64_t end, std::int64_t low, std::int64_t high,
               Out* result) const {
        while (first < end) {
            const std::int64_t p = (first + end) / 2;
            const std::int64_t reach = radius(lines + p * kLanes);
            const std::int64_t begin = std::max(low, p - reach), last = std::min(high, p + reach);
            Values best = load(lines + p * kLanes);
            Indices at = Indices{} + static_cast<Index>(p);
            for (std::int64_t q = begin; q <= last; ++q) {
                const Values candidate = load(lines + q * kLanes) + cost_[q < p ? p - q : q - p];
                const auto better = candidate < best;
                best = better ? candidate : best;
                at = better ? Indices{} + static_cast<Index>(q) : at;
            }
            std::memcpy(result + p * kLanes, &best, sizeof best);
            std::array<Index, kLanes> indices;
            std::memcpy(indices.data(), &at, sizeof indices);
            Index least = indices[0], most = indices[0];
            for (std::int64_t l = 1; l < kLanes; ++l) {
                least = std::min(least, indices[l]);
                most = std::max(most, indices[l]);
            }
            if (p > first) solve(lines, first, p, low, std::min<std::int64_t>(high, most), result);
            first = p + 1;
            low = std::max<std::int64_t>(low, least);
        }
    }

    std::vector<Out> cost_;
    Out perStep_;
};

// Runs `search` along `axis` (1 or 2), in place, in tiles of kLanes lines that are contiguous in x.
template <typename Out, typename Search>
void searchAxis(Volume<Out>& volume, int axis, const Search& search) {
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
                for (std::int64_t p = 0; p < n; ++p) {
                    const Out* source = base + p * step;
                    Out* line = lines.data() + p * kLanes;
                    if (lanes == kLanes) {
                        std::memcpy(line, source, kLanes * sizeof(Out));
                    } else {
                        for (std::int64_t l = 0; l < kLanes; ++l) line[l] = source[std::min(l, lanes - 1)];
                    }
                    anything = anything || !std::all_of(line, line + kLanes, [](Out v) { return v == 0; });
                }
                if (!anything) continue;
                search(lines.data(), n, result.data());
                for (std::int64_t p = 0; p < n; ++p)
                    std::memcpy(base + p * step, result.data() + p * kLanes,
                                static_cast<std::size_t>(lanes) * sizeof(Out));
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
    searchAxis(out, 1, SquaredSearch<Out>(mask.ny(), spacing[1]));
    searchAxis(out, 2, SquaredSearch<Out>(mask.nz(), spacing[2]));
    return out;
}

template <typename Out>
void takeRoots(Volume<Out>& volume) {
    parallelFor(0, volume.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) volume.data()[i] = std::sqrt(volume.data()[i]);
    });
}

// Steps on the grid: outwards from every position until no nearer result can come. Floats are exact below 2^24 steps.
template <GridMetric Metric>
struct GridSearch {
    static float combine(float value, float steps) {
        return Metric == GridMetric::Chessboard ? std::max(value, steps) : value + steps;
    }

    void operator()(const float* lines, std::int64_t n, float* result) const {
        for (std::int64_t p = 0; p < n; ++p) {
            std::array<float, kLanes> best;
            std::copy_n(lines + p * kLanes, kLanes, best.data());
            float largest = *std::max_element(best.begin(), best.end());
            for (std::int64_t k = 1; k < n && static_cast<float>(k) < largest; ++k) {
                for (const std::int64_t q : {p - k, p + k}) {
                    if (q < 0 || q >= n) continue;
                    for (std::int64_t l = 0; l < kLanes; ++l)
                        best[l] = std::min(best[l], combine(lines[q * kLanes + l], static_cast<float>(k)));
                }
                if (k % 4 == 0) largest = *std::max_element(best.begin(), best.end());
            }
            std::copy_n(best.data(), kLanes, result + p * kLanes);
        }
    }
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
    Volume<Out> distance = squaredDistance<RunKind::Zero, Out>(mask);
    takeRoots(distance);
    // The nearest voxel outside touches the mask: the mask's own box with a border of one voxel holds it.
    const VoxelBox box = boxOfMask(mask).grown({1, 1, 1}, mask.size());
    if (box.empty()) return distance;
    const Volume<Out> inside = squaredDistance<RunKind::NonZero, Out>(crop(mask, box));
    parallelFor(0, inside.nz(), 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t z = first; z < last; ++z)
            for (std::int64_t y = 0; y < inside.ny(); ++y) {
                const Out* depth = inside.data() + inside.index(0, y, z);
                Out* row = distance.data() + distance.index(box.low[0], box.low[1] + y, box.low[2] + z);
                for (std::int64_t x = 0; x < inside.nx(); ++x) row[x] = depth[x] > 0 ? -std::sqrt(depth[x]) : row[x];
            }
    });
    return distance;
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
            searchAxis(steps, axis, GridSearch<GridMetric::Chessboard>());
        else
            searchAxis(steps, axis, GridSearch<GridMetric::Taxicab>());
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
