// The distance transform of a BitGrid for a few neighbouring columns of voxels.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/metrics/surface_bits.h"

namespace medseg {

/// For the columns firstX ... firstX + width - 1: the squared in-slice distance to the nearest set bit, in every slice,
/// from which squaredDistance() finds the nearest slice. Memory: 8 bytes x width x rows x slices.
class DistanceSlab {
  public:
    /// Rows y for which isRowNeeded is false are left out.
    DistanceSlab(const BitGrid& surface, const Vec3& spacing, std::int64_t firstX, std::int64_t width,
                 const std::vector<bool>& isRowNeeded);

    /// Squared distance of (x, y, z) to the nearest set bit; infinite if there is none.
    double squaredDistance(std::int64_t x, std::int64_t y, std::int64_t z) const;

  private:
    bool fillRow(const BitGrid& surface, std::int64_t y, std::int64_t z, double* squares) const;
    void fillSlice(const BitGrid& surface, std::int64_t z, const std::vector<bool>& isRowNeeded,
                   std::vector<double>& rowSquares);

    Vec3 spacing_;
    std::int64_t firstX_;
    std::int64_t width_;
    Index3 size_;
    std::vector<double> sliceSquares_;   // [z][y][lane]
    std::vector<bool> isSliceOccupied_;  // has a set bit
};

}  // namespace medseg
