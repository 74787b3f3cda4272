#include "medseg/metrics/distance_slab.h"

#include <algorithm>
#include <bit>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MEDSEG_WIDE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MEDSEG_WIDE_CLONES
#endif

namespace medseg {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Steps between two checks whether a search can end.
constexpr std::int64_t kStepsPerCheck = 4;

double square(double value) {
    return value * value;
}

MEDSEG_WIDE_CLONES void lowerTo(double* best, const double* candidates, double offset, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        const double candidate = candidates[i] + offset;
        best[i] = candidate < best[i] ? candidate : best[i];
    }
}

/// Column of the last set bit at or before x, or -1.
std::int64_t lastSetBit(const std::uint64_t* row, std::int64_t x) {
    if (x < 0) return -1;
    std::uint64_t bits = row[x >> 6] & ~std::uint64_t{0} >> (63 - (x & 63));
    for (std::int64_t word = x >> 6;; bits = row[word]) {
        if (bits != 0) return word * 64 + 63 - std::countl_zero(bits);
        if (--word < 0) return -1;
    }
}

/// Column of the first set bit at or after x, or -1.
std::int64_t firstSetBit(const std::uint64_t* row, std::int64_t x, std::int64_t words) {
    if (x >= words * 64) return -1;
    std::uint64_t bits = row[x >> 6] & ~std::uint64_t{0} << (x & 63);
    for (std::int64_t word = x >> 6;; bits = row[word]) {
        if (bits != 0) return word * 64 + std::countr_zero(bits);
        if (++word >= words) return -1;
    }
}

}  // namespace

DistanceSlab::DistanceSlab(const BitGrid& surface, const Vec3& spacing, std::int64_t firstX, std::int64_t width,
                           const std::vector<bool>& isRowNeeded)
    : spacing_(spacing),
      firstX_(firstX),
      width_(width),
      size_(surface.size()),
      sliceSquares_(width * size_[1] * size_[2], kInfinity),
      isSliceOccupied_(size_[2], false) {
    std::vector<double> rowSquares(width_ * size_[1]);
    for (std::int64_t z = 0; z < size_[2]; ++z) fillSlice(surface, z, isRowNeeded, rowSquares);
}

/// Squared distances along the row; false if it has no set bit.
bool DistanceSlab::fillRow(const BitGrid& surface, std::int64_t y, std::int64_t z, double* squares) const {
    const std::uint64_t* row = surface.row(y, z);
    std::int64_t left = lastSetBit(row, firstX_);
    std::int64_t right = firstSetBit(row, firstX_, surface.wordsPerRow());
    if (left < 0 && right < 0) return false;
    for (std::int64_t lane = 0; lane < width_; ++lane) {
        const std::int64_t x = firstX_ + lane;
        if (right >= 0 && right < x) {
            left = right;
            right = firstSetBit(row, x, surface.wordsPerRow());
        }
        if (right == x) left = x;
        double nearest = kInfinity;
        if (left >= 0) nearest = square(static_cast<double>(x - left) * spacing_[0]);
        if (right >= 0) nearest = std::min(nearest, square(static_cast<double>(right - x) * spacing_[0]));
        squares[lane] = nearest;
    }
    return true;
}

void DistanceSlab::fillSlice(const BitGrid& surface, std::int64_t z, const std::vector<bool>& isRowNeeded,
                             std::vector<double>& rowSquares) {
    std::vector<bool> isOccupied(size_[1]);
    for (std::int64_t y = 0; y < size_[1]; ++y) {
        isOccupied[y] = fillRow(surface, y, z, rowSquares.data() + y * width_);
        if (isOccupied[y]) isSliceOccupied_[z] = true;
    }
    if (!isSliceOccupied_[z]) return;
    for (std::int64_t y = 0; y < size_[1]; ++y) {
        if (!isRowNeeded[y]) continue;
        double* best = sliceSquares_.data() + width_ * (y + size_[1] * z);
        for (std::int64_t step = 0; step < size_[1]; ++step) {
            const double offset = square(static_cast<double>(step) * spacing_[1]);
            if (step % kStepsPerCheck == 0 && offset >= *std::max_element(best, best + width_)) break;
            if (y - step >= 0 && isOccupied[y - step])
                lowerTo(best, rowSquares.data() + (y - step) * width_, offset, width_);
            if (step > 0 && y + step < size_[1] && isOccupied[y + step])
                lowerTo(best, rowSquares.data() + (y + step) * width_, offset, width_);
        }
    }
}

double DistanceSlab::squaredDistance(std::int64_t x, std::int64_t y, std::int64_t z) const {
    double best = kInfinity;
    const double* column = sliceSquares_.data() + (x - firstX_) + width_ * y;
    const std::int64_t stride = width_ * size_[1];
    for (std::int64_t step = 0; step < size_[2]; ++step) {
        const double offset = square(static_cast<double>(step) * spacing_[2]);
        if (offset >= best) break;
        if (z - step >= 0 && isSliceOccupied_[z - step]) best = std::min(best, column[(z - step) * stride] + offset);
        if (z + step < size_[2] && isSliceOccupied_[z + step])
            best = std::min(best, column[(z + step) * stride] + offset);
    }
    return best;
}

}  // namespace medseg
