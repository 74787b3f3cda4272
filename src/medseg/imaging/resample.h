// Volumes onto other grids, in world coordinates.
#pragma once

#include <string>

#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

enum class Interpolation {
    Nearest,  ///< labels: never invents values
    Linear,
    Cubic  ///< cubic B-spline through the samples (prefiltered, mirrored at the borders); overshoots at edges
};

/// "nearest", "linear", "cubic". Throws UsageError.
Interpolation interpolationFromName(const std::string& name);

/// The grid of `geometry` with another spacing (mm along each array axis): the same orientation and centre of the field
/// of view, round(n * old / new) voxels along each axis, at least one. Throws UsageError unless the spacing is positive
/// and finite.
Geometry withSpacing(const Geometry& geometry, const Vec3& spacing);
/// The grid of `geometry` with another number of voxels over exactly the same field of view.
Geometry withSize(const Geometry& geometry, const Index3& size);

/// Values of `volume` at the voxel centres of `target`. Positions up to half a voxel outside the outermost centres take
/// the border value, those farther out `fill`. Integer types are rounded half away from zero and clamped. NaN voxels
/// make the results they take part in NaN (0 for integers). Grids whose axes are parallel use the separable path; the
/// general path needs, for Cubic, 4 bytes a source voxel for the coefficients.
/// Instantiated for uint8, int8, uint16, int16, int32, uint32, float, double.
template <typename T>
Volume<T> resampleTo(const Volume<T>& volume, const Geometry& target, Interpolation interpolation, double fill = 0);

enum class LabelInterpolation {
    Nearest,
    Linear  ///< the label with the largest trilinear weight; ties go to the smaller id
};
/// A label map on another grid; 0 outside. Only labels of the input occur in the result.
template <typename T>
Volume<T> resampleLabels(const Volume<T>& labels, const Geometry& target,
                         LabelInterpolation interpolation = LabelInterpolation::Nearest);
LabelMap resampleLabels(const LabelMap& labels, const Geometry& target,
                        LabelInterpolation interpolation = LabelInterpolation::Nearest);

}  // namespace medseg
