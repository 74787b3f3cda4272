#include "medseg/imaging/points.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

// Points sorted into the cells of a regular grid, about two a cell.
class CellGrid {
  public:
    explicit CellGrid(std::span<const Vec3> points) {
        for (int axis = 0; axis < 3; ++axis) {
            low_[axis] = std::numeric_limits<double>::infinity();
            high_[axis] = -low_[axis];
            for (const Vec3& p : points) {
                low_[axis] = std::min(low_[axis], p[axis]);
                high_[axis] = std::max(high_[axis], p[axis]);
            }
        }
        double extent = 0;
        for (int axis = 0; axis < 3; ++axis) extent = std::max(extent, high_[axis] - low_[axis]);
        const double wanted = std::cbrt(static_cast<double>(points.size()) / 2) + 1;
        cell_ = extent > 0 ? extent / std::min(wanted * 1.5, 200.0) : 1;
        for (int axis = 0; axis < 3; ++axis)
            count_[axis] = static_cast<std::int64_t>((high_[axis] - low_[axis]) / cell_) + 1;
        start_.assign(count_[0] * count_[1] * count_[2] + 1, 0);
        for (const Vec3& p : points) ++start_[cellOf(p) + 1];
        for (std::size_t i = 1; i < start_.size(); ++i) start_[i] += start_[i - 1];
        std::vector<std::size_t> next(start_.begin(), start_.end() - 1);
        sorted_.resize(points.size());
        for (const Vec3& p : points) sorted_[next[cellOf(p)]++] = p;
    }

    double nearestSquared(const Vec3& p) const {
        const Index3 home = coordinatesOf(p);
        double best = std::numeric_limits<double>::infinity();
        const std::int64_t last = std::max({count_[0], count_[1], count_[2]});
        for (std::int64_t ring = 0; ring <= last; ++ring) {
            searchRing(p, home, ring, best);
            // Cells outside the ring are at least that far away, counted from the nearer side of the home cell.
            const double clear = clearance(p, home, ring);
            if (clear > 0 && clear * clear >= best) break;
        }
        return best;
    }

  private:
    Index3 coordinatesOf(const Vec3& p) const {
        Index3 c;
        for (int axis = 0; axis < 3; ++axis) {
            const double position =
                std::clamp((p[axis] - low_[axis]) / cell_, 0.0, static_cast<double>(count_[axis] - 1));
            c[axis] = static_cast<std::int64_t>(position);
        }
        return c;
    }
    std::int64_t indexOf(const Index3& c) const { return c[0] + count_[0] * (c[1] + count_[1] * c[2]); }
    std::int64_t cellOf(const Vec3& p) const { return indexOf(coordinatesOf(p)); }

    // Distance from p to the nearest side of the box of cells within `ring` of home, over sides that have cells behind
    // them; infinite when the box covers the grid.
    double clearance(const Vec3& p, const Index3& home, std::int64_t ring) const {
        double nearest = std::numeric_limits<double>::infinity();
        for (int axis = 0; axis < 3; ++axis) {
            if (home[axis] - ring > 0)
                nearest = std::min(nearest, p[axis] - (low_[axis] + static_cast<double>(home[axis] - ring) * cell_));
            if (home[axis] + ring < count_[axis] - 1)
                nearest = std::min(nearest, low_[axis] + static_cast<double>(home[axis] + ring + 1) * cell_ - p[axis]);
        }
        return nearest;
    }

    void searchRing(const Vec3& p, const Index3& home, std::int64_t ring, double& best) const {
        Index3 from, to;
        for (int axis = 0; axis < 3; ++axis) {
            from[axis] = std::max<std::int64_t>(0, home[axis] - ring);
            to[axis] = std::min(count_[axis] - 1, home[axis] + ring);
        }
        for (std::int64_t z = from[2]; z <= to[2]; ++z)
            for (std::int64_t y = from[1]; y <= to[1]; ++y) {
                const bool whole = std::abs(z - home[2]) == ring || std::abs(y - home[1]) == ring;
                for (std::int64_t x = from[0]; x <= to[0]; ++x) {
                    if (!whole && std::abs(x - home[0]) != ring) continue;
                    searchCell(p, indexOf({x, y, z}), best);
                }
            }
    }

    void searchCell(const Vec3& p, std::int64_t cell, double& best) const {
        for (std::size_t i = start_[cell]; i < start_[cell + 1]; ++i) {
            const double dx = sorted_[i][0] - p[0], dy = sorted_[i][1] - p[1], dz = sorted_[i][2] - p[2];
            best = std::min(best, dx * dx + dy * dy + dz * dz);
        }
    }

    Vec3 low_{}, high_{};
    double cell_ = 1;
    Index3 count_{};
    std::vector<std::size_t> start_;
    std::vector<Vec3> sorted_;
};

void requirePoints(std::span<const Vec3> points) {
    if (points.empty()) throw DataError("distance between point sets: a set is empty");
    for (const Vec3& p : points)
        for (const double v : p)
            if (!std::isfinite(v)) throw DataError("distance between point sets: a coordinate is not finite");
}

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / static_cast<double>(values.size());
}

double meanSquare(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v * v;
    return sum / static_cast<double>(values.size());
}

double shareBelow(const std::vector<double>& values, double threshold) {
    const auto below = std::count_if(values.begin(), values.end(), [&](double v) { return v < threshold; });
    return static_cast<double>(below) / static_cast<double>(values.size());
}

}  // namespace

std::vector<double> nearestDistances(std::span<const Vec3> from, std::span<const Vec3> to) {
    requirePoints(from);
    requirePoints(to);
    const CellGrid grid(to);
    std::vector<double> result(from.size());
    parallelFor(0, static_cast<std::int64_t>(from.size()), 256, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) result[i] = std::sqrt(grid.nearestSquared(from[i]));
    });
    return result;
}

PointSetDistance pointSetDistance(std::span<const Vec3> a, std::span<const Vec3> b) {
    return {nearestDistances(a, b), nearestDistances(b, a)};
}

double chamferDistance(const PointSetDistance& distances, Chamfer definition) {
    switch (definition) {
        case Chamfer::SumOfMeanSquares:
            return meanSquare(distances.aToB) + meanSquare(distances.bToA);
        case Chamfer::SumOfMeans:
            return mean(distances.aToB) + mean(distances.bToA);
        case Chamfer::HalfSumOfMeans:
            return (mean(distances.aToB) + mean(distances.bToA)) / 2;
        default:
            return mean(distances.aToB);
    }
}

double hausdorffDistance(const PointSetDistance& distances) {
    return std::max(*std::max_element(distances.aToB.begin(), distances.aToB.end()),
                    *std::max_element(distances.bToA.begin(), distances.bToA.end()));
}

PointFScore pointFScore(const PointSetDistance& distances, double threshold) {
    PointFScore score{shareBelow(distances.aToB, threshold), shareBelow(distances.bToA, threshold), 0};
    if (score.precision + score.recall > 0)
        score.fScore = 2 * score.precision * score.recall / (score.precision + score.recall);
    return score;
}

}  // namespace medseg
