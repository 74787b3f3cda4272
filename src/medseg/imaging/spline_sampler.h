// A volume that can be asked for its value anywhere: B-spline interpolation at arbitrary coordinates.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "medseg/base/threads.h"
#include "medseg/imaging/spline.h"
#include "medseg/volume/geometry.h"
#include "medseg/volume/voxel_memory.h"

namespace medseg {

/// B-spline coefficients of x-fastest samples of `size`, as scipy.ndimage computes them: each axis padded where the
/// boundary asks for it, then prefiltered. Coefficients are floats computed in double precision line by line: 4 bytes a
/// (padded) voxel. Orders 0 and 1 copy the samples.
class SplineSampler {
  public:
    template <typename T>
    SplineSampler(const T* samples, const Index3& size, int order, Boundary boundary, double fill);

    /// Value at voxel coordinate (x, y, z). Thread-safe.
    double at(double x, double y, double z) const {
        const std::array<double, 3> position{x, y, z};
        std::array<Taps, 3> taps;
        for (int axis = 0; axis < 3; ++axis)
            if (!locate(axis, position[axis], taps[axis])) return fill_;
        double sum = 0;
        for (int k = 0; k < taps[2].count; ++k)
            for (int j = 0; j < taps[1].count; ++j) {
                const double rowWeight = taps[2].weight[k] * taps[1].weight[j];
                const bool rowOutside = taps[2].index[k] < 0 || taps[1].index[j] < 0;
                const float* row =
                    rowOutside ? nullptr
                               : coefficients_.get() + size_[0] * (taps[1].index[j] + size_[1] * taps[2].index[k]);
                double rowSum = 0;
                for (int i = 0; i < taps[0].count; ++i) {
                    const bool outside = rowOutside || taps[0].index[i] < 0;
                    rowSum += taps[0].weight[i] * (outside ? fill_ : static_cast<double>(row[taps[0].index[i]]));
                }
                sum += rowWeight * rowSum;
            }
        return sum;
    }

    const float* coefficients() const { return coefficients_.get(); }
    const Index3& paddedSize() const { return size_; }

  private:
    struct Taps {
        int count = 1;
        std::array<std::int64_t, kMaxSplineOrder + 1> index{};
        SplineWeights weight{1};
    };

    bool locate(int axis, double coordinate, Taps& taps) const {
        const std::int64_t n = size_[axis];
        double x = coordinate + padding_[axis];
        if (flat_[axis]) {  // a slice has no extent along its third axis
            taps.index[0] = 0;
            return true;
        }
        if (boundary_ != Boundary::GridConstant) {
            x = mapCoordinate(x, n, boundary_);
            if (boundary_ == Boundary::Constant && x < 0) return false;
        } else if (!std::isfinite(x)) {
            return false;
        }
        const std::int64_t start = splineStart(x, order_);
        taps.weight = splineWeights(x, order_);
        taps.count = order_ + 1;
        for (int t = 0; t <= order_; ++t) {
            const std::int64_t index = start + t;
            taps.index[t] = index >= 0 && index < n ? index : mapIndex(index, n, tapBoundary_);
        }
        return true;
    }

    Index3 size_{};
    std::array<int, 3> padding_{};
    std::array<bool, 3> flat_{};
    int order_ = 1;
    Boundary boundary_ = Boundary::Nearest;
    Boundary tapBoundary_ = Boundary::Nearest;
    double fill_ = 0;
    VoxelPointer<float> coefficients_;
};

}  // namespace medseg
