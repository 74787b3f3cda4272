#include "medseg/imaging/points.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

// A balanced k-d tree in one array: the middle point of a range splits it. Queries far from all points stay cheap,
// which a grid of cells does not give.
class PointTree {
  public:
    explicit PointTree(std::span<const Vec3> points)
        : points_(points.begin(), points.end()), axis_(points.size(), 0), low_(points.front()), high_(points.front()) {
        for (const Vec3& p : points_)
            for (std::size_t axis = 0; axis < 3; ++axis) {
                low_[axis] = std::min(low_[axis], p[axis]);
                high_[axis] = std::max(high_[axis], p[axis]);
            }
        split(0, points_.size(), low_, high_);
    }

    double nearestSquared(const Vec3& p) const {
        Vec3 outside;  // from the box of all points, along each axis
        for (std::size_t axis = 0; axis < 3; ++axis)
            outside[axis] = std::max({low_[axis] - p[axis], 0.0, p[axis] - high_[axis]});
        double best = std::numeric_limits<double>::infinity();
        search(p, 0, points_.size(), outside, best);
        return best;
    }

  private:
    static constexpr std::size_t kLeaf = 8;

    static double squaredLength(double x, double y, double z) { return x * x + y * y + z * z; }

    void split(std::size_t first, std::size_t last, Vec3 low, Vec3 high) {
        if (last - first <= kLeaf) return;
        std::size_t axis = 0;
        for (const std::size_t other : {std::size_t{1}, std::size_t{2}})
            if (high[other] - low[other] > high[axis] - low[axis]) axis = other;
        const std::size_t middle = (first + last) / 2;
        const auto begin = points_.begin();
        std::nth_element(begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(middle),
                         begin + static_cast<std::ptrdiff_t>(last),
                         [axis](const Vec3& a, const Vec3& b) { return a[axis] < b[axis]; });
        axis_[middle] = static_cast<std::uint8_t>(axis);
        const double plane = points_[middle][axis];
        Vec3 side = high;
        side[axis] = plane;
        split(first, middle, low, side);
        side = low;
        side[axis] = plane;
        split(middle + 1, last, side, high);
    }

    /// `outside`: how far p lies from the box of the range along each axis. The bound is summed like a distance, so
    /// that rounding never makes it the larger one.
    void search(const Vec3& p, std::size_t first, std::size_t last, const Vec3& outside, double& best) const {
        if (squaredLength(outside[0], outside[1], outside[2]) >= best) return;
        if (last - first <= kLeaf) {
            for (std::size_t i = first; i < last; ++i) visit(p, i, best);
            return;
        }
        const std::size_t middle = (first + last) / 2, axis = axis_[middle];
        const double beyond = p[axis] - points_[middle][axis];
        Vec3 across = outside;
        across[axis] = std::max(across[axis], std::abs(beyond));
        const bool inLower = beyond < 0;
        search(p, inLower ? first : middle + 1, inLower ? middle : last, outside, best);
        visit(p, middle, best);
        search(p, inLower ? middle + 1 : first, inLower ? last : middle, across, best);
    }

    void visit(const Vec3& p, std::size_t i, double& best) const {
        const Vec3& q = points_[i];
        best = std::min(best, squaredLength(q[0] - p[0], q[1] - p[1], q[2] - p[2]));
    }

    std::vector<Vec3> points_;
    std::vector<std::uint8_t> axis_;  ///< that the middle point of a range splits
    Vec3 low_, high_;
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
    const PointTree tree(to);
    std::vector<double> result(from.size());
    parallelFor(0, static_cast<std::int64_t>(from.size()), 256, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) result[i] = std::sqrt(tree.nearestSquared(from[i]));
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
