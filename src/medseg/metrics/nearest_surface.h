// Exact distance from points of a grid to the nearest set bit of a BitGrid.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/metrics/surface_bits.h"

namespace medseg {

/// A point of the grid, 0 <= x < size[0] and so on.
struct GridPoint {
    std::int32_t x = 0;
    std::int32_t y = 0;
    std::int32_t z = 0;
};

/// Points near the surface look through the rows around them, nearest row first; for the others a separable distance
/// transform is computed, in slabs of a few columns and only where such points lie.
/// Squared distances are ((dx sx)^2 + (dy sy)^2) + (dz sz)^2 in this order, as numpy adds them for arrays of axes x, y,
/// z, so that distances that equal a tolerance do so in both.
class NearestSurface {
  public:
    /// `surface` must stay alive and have at least one set bit; spacing in mm.
    NearestSurface(const BitGrid& surface, const Vec3& spacing);

    /// Squared distance of every point, mm^2.
    std::vector<double> squaredDistances(const std::vector<GridPoint>& points) const;

  private:
    struct RowOffset {
        std::int32_t dy = 0;
        std::int32_t dz = 0;
        double squareY = 0;
        double squareZ = 0;
    };

    void listNearRows();
    double searchNear(const GridPoint& point) const;
    double searchEverywhere(const GridPoint& point) const;
    void improveFromRow(std::int64_t x, std::int64_t y, std::int64_t z, double squareY, double squareZ,
                        double& best) const;
    void measureSlab(std::int64_t firstX, std::int64_t width, const std::vector<GridPoint>& points,
                     const std::vector<std::uint32_t>& chosen, std::vector<double>& squares) const;

    const BitGrid& surface_;
    Vec3 spacing_;
    std::vector<RowOffset> nearRows_;  // by ascending distance of the row
    double nearLimit_ = 0;             // squared: all rows nearer than this are in nearRows_
};

}  // namespace medseg
