// Resampling of a training slice through an affine map and a smooth deformation.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "medseg/base/random.h"

namespace medseg {

struct SliceSample;

/// Row-major 2x3 map from output to input pixel coordinates.
using PlaneMap = std::array<double, 6>;

/// Turns by `degrees` (counter-clockwise as drawn with row 0 at the top), zooms in by `zoom`, shifts by (dx, dy)
/// pixels, all about the centre.
PlaneMap planeMap(std::int64_t height, std::int64_t width, double degrees, double zoom, double dx, double dy,
                  bool flipX, bool flipY);

/// A random displacement of every pixel, smooth: cubic B-splines over a grid of control points (Rueckert et al. 1999).
class SmoothDisplacement {
  public:
    /// Control points `spacing` pixels apart, each displaced by up to `amplitude` pixels along both axes. Amplitudes
    /// above 0.4 of the spacing are cut to it, so that the plane never folds (Choi and Lee 2000).
    SmoothDisplacement(std::int64_t height, std::int64_t width, double spacing, double amplitude, Random& random);

    /// Adds the displacements of one row to x and y (`width` values each).
    void addRow(std::int64_t row, float* x, float* y) const;

  private:
    std::int64_t width_, gridRows_;
    double spacing_;
    std::vector<float> columns_;  ///< (component, control row, pixel column): already interpolated along the columns
};

/// Resamples image channels (bilinear) and label layers (nearest: no label is invented) through the map, then the
/// displacement where there is one; 0 outside.
void transformPlane(SliceSample& sample, const PlaneMap& map, const SmoothDisplacement* displacement = nullptr);

}  // namespace medseg
