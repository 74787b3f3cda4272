// Uniform cubic B-splines, for displacements that are smooth.
#pragma once

#include <array>

namespace medseg {

/// Values of the four cubic B-splines that reach a point, `t` its share of the way to the next control point.
inline std::array<double, 4> cubicSplineWeights(double t) {
    const double s = 1 - t;
    return {s * s * s / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * s * s * s - 6 * s * s + 4) / 6, t * t * t / 6};
}

}  // namespace medseg
