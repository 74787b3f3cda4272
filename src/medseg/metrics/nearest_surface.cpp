#include "medseg/metrics/nearest_surface.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "medseg/base/threads.h"
#include "medseg/metrics/distance_slab.h"

namespace medseg {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kNearRows = 160;
constexpr std::int64_t kPointsPerTask = 2048;
/// Below this many far points in a slab, searching each of them is cheaper than the slab's transform.
constexpr std::size_t kPointsWorthASlab = 256;
constexpr std::int64_t kSlabBytes = std::int64_t{32} << 20;
constexpr std::int64_t kLargestSlabWidth = 64;

double square(double value) {
    return value * value;
}

}  // namespace

NearestSurface::NearestSurface(const BitGrid& surface, const Vec3& spacing) : surface_(surface), spacing_(spacing) {
    listNearRows();
}

void NearestSurface::listNearRows() {
    // A square window of offsets, cut to the disc that it holds completely.
    const std::int64_t reach = 16;
    const std::int64_t reachZ = std::min(reach, surface_.size()[2] - 1);
    const std::int64_t reachY = std::min(reach, surface_.size()[1] - 1);
    for (std::int64_t dz = -reachZ; dz <= reachZ; ++dz)
        for (std::int64_t dy = -reachY; dy <= reachY; ++dy)
            nearRows_.push_back({static_cast<std::int32_t>(dy), static_cast<std::int32_t>(dz),
                                 square(static_cast<double>(dy) * spacing_[1]),
                                 square(static_cast<double>(dz) * spacing_[2])});
    std::sort(nearRows_.begin(), nearRows_.end(), [](const RowOffset& a, const RowOffset& b) {
        const double da = a.squareY + a.squareZ, db = b.squareY + b.squareZ;
        return da != db ? da < db : a.dz != b.dz ? a.dz < b.dz : a.dy < b.dy;
    });
    nearLimit_ = kInfinity;
    if (reachY < surface_.size()[1] - 1) nearLimit_ = square(static_cast<double>(reachY + 1) * spacing_[1]);
    if (reachZ < surface_.size()[2] - 1)
        nearLimit_ = std::min(nearLimit_, square(static_cast<double>(reachZ + 1) * spacing_[2]));
    if (nearRows_.size() > kNearRows) {
        const RowOffset& next = nearRows_[kNearRows];
        nearLimit_ = std::min(nearLimit_, next.squareY + next.squareZ);
        nearRows_.resize(kNearRows);
    }
}

/// Lowers `best` to the squared distance of the row's bit that is nearest to x.
void NearestSurface::improveFromRow(std::int64_t x, std::int64_t y, std::int64_t z, double squareY, double squareZ,
                                    double& best) const {
    const std::uint64_t* row = surface_.row(y, z);
    const std::int64_t home = x >> 6;
    const auto squareAt = [&](std::int64_t column) {
        return square(static_cast<double>(column - x) * spacing_[0]) + squareY + squareZ;
    };
    std::uint64_t bits = row[home] & ~std::uint64_t{0} >> (63 - (x & 63));
    for (std::int64_t word = home;; bits = row[word]) {
        if (bits != 0) {
            best = std::min(best, squareAt(word * 64 + 63 - std::countl_zero(bits)));
            break;
        }
        if (--word < 0 || squareAt(word * 64 + 63) >= best) break;
    }
    bits = row[home] & ~std::uint64_t{0} << (x & 63);
    for (std::int64_t word = home;; bits = row[word]) {
        if (bits != 0) {
            best = std::min(best, squareAt(word * 64 + std::countr_zero(bits)));
            break;
        }
        if (++word >= surface_.wordsPerRow() || squareAt(word * 64) >= best) break;
    }
}

/// Squared distance, or infinity if only rows beyond the near ones can tell.
double NearestSurface::searchNear(const GridPoint& point) const {
    double best = kInfinity;
    const Index3& size = surface_.size();
    for (const RowOffset& offset : nearRows_) {
        if (offset.squareY + offset.squareZ >= best) return best;
        const std::int64_t y = point.y + offset.dy, z = point.z + offset.dz;
        if (y < 0 || y >= size[1] || z < 0 || z >= size[2]) continue;
        improveFromRow(point.x, y, z, offset.squareY, offset.squareZ, best);
    }
    return best <= nearLimit_ ? best : kInfinity;
}

double NearestSurface::searchEverywhere(const GridPoint& point) const {
    double best = kInfinity;
    const Index3& size = surface_.size();
    for (std::int64_t dz = 0; dz < size[2]; ++dz) {
        const double squareZ = square(static_cast<double>(dz) * spacing_[2]);
        if (squareZ >= best) break;
        for (std::int64_t dy = 0; dy < size[1]; ++dy) {
            const double squareY = square(static_cast<double>(dy) * spacing_[1]);
            if (squareY + squareZ >= best) break;
            for (const std::int64_t z : {point.z - dz, point.z + dz}) {
                if (z < 0 || z >= size[2] || (dz == 0 && z != point.z)) continue;
                for (const std::int64_t y : {point.y - dy, point.y + dy})
                    if (y >= 0 && y < size[1]) improveFromRow(point.x, y, z, squareY, squareZ, best);
            }
        }
    }
    return best;
}

void NearestSurface::measureSlab(std::int64_t firstX, std::int64_t width, const std::vector<GridPoint>& points,
                                 const std::vector<std::uint32_t>& chosen, std::vector<double>& squares) const {
    std::vector<bool> isRowNeeded(surface_.size()[1], false);
    for (const std::uint32_t i : chosen) isRowNeeded[points[i].y] = true;
    const DistanceSlab slab(surface_, spacing_, firstX, width, isRowNeeded);
    for (const std::uint32_t i : chosen) squares[i] = slab.squaredDistance(points[i].x, points[i].y, points[i].z);
}

std::vector<double> NearestSurface::squaredDistances(const std::vector<GridPoint>& points) const {
    std::vector<double> squares(points.size());
    parallelFor(0, static_cast<std::int64_t>(points.size()), kPointsPerTask,
                [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t i = first; i < last; ++i) squares[i] = searchNear(points[i]);
                });

    const std::int64_t bytesPerColumn = 8 * surface_.size()[1] * surface_.size()[2];
    const std::int64_t width = std::clamp<std::int64_t>(kSlabBytes / bytesPerColumn, 1, kLargestSlabWidth);
    std::vector<std::vector<std::uint32_t>> farPoints((surface_.size()[0] + width - 1) / width);
    for (std::size_t i = 0; i < points.size(); ++i)
        if (std::isinf(squares[i])) farPoints[points[i].x / width].push_back(static_cast<std::uint32_t>(i));
    parallelForEach(0, static_cast<std::int64_t>(farPoints.size()), [&](std::int64_t slab) {
        const std::vector<std::uint32_t>& chosen = farPoints[slab];
        if (chosen.size() < kPointsWorthASlab)
            for (const std::uint32_t i : chosen) squares[i] = searchEverywhere(points[i]);
        else
            measureSlab(slab * width, std::min(width, surface_.size()[0] - slab * width), points, chosen, squares);
    });
    return squares;
}

}  // namespace medseg
