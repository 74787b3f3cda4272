// The interpolating cubic convolution of Keys (1981), with the free parameter a: -0.75 in OpenCV and torch, -0.5 in
// PIL.
#pragma once

#include <array>
#include <cmath>

namespace medseg {

/// Weight at `distance` >= 0 samples.
inline double cubicKernel(double distance, double a) {
    if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
    if (distance < 2) return ((distance - 5) * distance + 8) * distance * a - 4 * a;
    return 0;
}

/// Weights of the samples at -1, 0, 1, 2 around a position `t` in [0, 1) after sample 0.
inline std::array<double, 4> cubicWeights(double t, double a) {
    return {cubicKernel(t + 1, a), cubicKernel(t, a), cubicKernel(1 - t, a), cubicKernel(2 - t, a)};
}

}  // namespace medseg
