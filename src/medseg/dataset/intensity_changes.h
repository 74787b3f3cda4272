// Changes of the grey values of one image plane, values 0..1.
#pragma once

#include <cstdint>
#include <span>

#include "medseg/base/random.h"

namespace medseg {

/// v -> v^gamma for v in [0, 1], to within 1e-5 for gamma from 0.5 up. Negative values stay.
void applyGamma(std::span<float> values, double gamma);

/// v -> mean + contrast * (v - mean) + shift + noise of that standard deviation, clipped to 0..1.
struct LinearChange {
    double contrast = 1;
    double shift = 0;
    double noise = 0;
};
void applyLinear(std::span<float> values, const LinearChange& change, Random& random);

/// Gaussian blur with `sigma` in pixels, kernel cut at 3 sigma; the border is repeated.
void blurPlane(float* plane, std::int64_t height, std::int64_t width, double sigma);

/// What a scan of lower resolution would show: `factor` (0..1) times as many pixels along both axes by nearest
/// neighbour, then back by linear interpolation (Isensee et al. 2021).
void lowerResolution(float* plane, std::int64_t height, std::int64_t width, double factor);

/// Adds noise of standard deviation `sigma` to values: normal quantiles at 4096 equally likely levels.
void addNoise(std::span<float> values, double sigma, Random& random);

}  // namespace medseg
