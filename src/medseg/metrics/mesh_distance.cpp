#include "medseg/metrics/mesh_distance.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A k-d tree without pointers: the median of a range is its node, the halves beside it are its children.
class PointTree {
  public:
    explicit PointTree(std::span<const Vec3> points) : points_(points.begin(), points.end()), axes_(points.size()) {
        build(0, points_.size());
    }

    double squaredDistance(const Vec3& query) const {
        double best = kInfinity;
        search(query, 0, points_.size(), best);
        return best;
    }

  private:
    static constexpr std::size_t kLeaf = 8;

    void build(std::size_t first, std::size_t last) {
        if (last - first <= kLeaf) return;
        Vec3 low = points_[first], high = points_[first];
        for (std::size_t i = first; i < last; ++i)
            for (int axis = 0; axis < 3; ++axis) {
                low[axis] = std::min(low[axis], points_[i][axis]);
                high[axis] = std::max(high[axis], points_[i][axis]);
            }
        int widest = 0;
        for (int axis = 1; axis < 3; ++axis)
            if (high[axis] - low[axis] > high[widest] - low[widest]) widest = axis;
        const std::size_t middle = first + (last - first) / 2;
        std::nth_element(points_.begin() + first, points_.begin() + middle, points_.begin() + last,
                         [widest](const Vec3& a, const Vec3& b) { return a[widest] < b[widest]; });
        axes_[middle] = static_cast<std::int8_t>(widest);
        build(first, middle);
        build(middle + 1, last);
    }

    void consider(const Vec3& query, std::size_t i, double& best) const {
        const double dx = query[0] - points_[i][0], dy = query[1] - points_[i][1], dz = query[2] - points_[i][2];
        best = std::min(best, dx * dx + dy * dy + dz * dz);
    }

    void search(const Vec3& query, std::size_t first, std::size_t last, double& best) const {
        if (last - first <= kLeaf) {
            for (std::size_t i = first; i < last; ++i) consider(query, i, best);
            return;
        }
        const std::size_t middle = first + (last - first) / 2;
        const int axis = axes_[middle];
        const double offset = query[axis] - points_[middle][axis];
        consider(query, middle, best);
        if (offset < 0) {
            search(query, first, middle, best);
            if (offset * offset < best) search(query, middle + 1, last, best);
        } else {
            search(query, middle + 1, last, best);
            if (offset * offset < best) search(query, first, middle, best);
        }
    }

    std::vector<Vec3> points_;
    std::vector<std::int8_t> axes_;
};

double meanOf(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double meanSquareOf(const std::vector<double>& values) {
    return std::inner_product(values.begin(), values.end(), values.begin(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

std::vector<double> nearestPointDistances(std::span<const Vec3> from, std::span<const Vec3> to) {
    std::vector<double> distances(from.size(), kInfinity);
    if (to.empty()) return distances;
    const PointTree tree(to);
    parallelFor(0, static_cast<std::int64_t>(from.size()), 1024, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) distances[i] = std::sqrt(tree.squaredDistance(from[i]));
    });
    return distances;
}

PointSetDistances pointSetDistances(std::span<const Vec3> a, std::span<const Vec3> b) {
    if (a.empty() || b.empty()) return {kInfinity, kInfinity, kInfinity};
    const std::vector<double> there = nearestPointDistances(a, b);
    const std::vector<double> back = nearestPointDistances(b, a);
    return {meanSquareOf(there) + meanSquareOf(back), 0.5 * (meanOf(there) + meanOf(back)),
            std::max(*std::max_element(there.begin(), there.end()), *std::max_element(back.begin(), back.end()))};
}

}  // namespace medseg
