// Geometric transformations in index space with scipy.ndimage's conventions: sampling at given coordinates, elastic
// deformation, rotation, affine maps.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "medseg/imaging/spline.h"
#include "medseg/volume/volume.h"

namespace medseg {

struct SampleOptions {
    int order = 1;  ///< B-spline order 0..5; order 0 takes floor(x + 0.5)
    Boundary boundary = Boundary::Constant;
    double fill = 0;
};

/// Values of `volume` at voxel coordinates (scipy.ndimage.map_coordinates). All functions here work on uint8, int16,
/// int32, float and double, need 4 bytes a voxel of the (padded) input for coefficients, round integers half away from
/// zero, throw DataError for a volume without voxels and UsageError for a bad order.
template <typename T>
std::vector<double> mapCoordinates(const Volume<T>& volume, std::span<const Vec3> coordinates,
                                   const SampleOptions& options);

/// out(p) = in(p + displacement(p)); displacements in voxels along x, y, z, each of the size of the volume.
/// `displacementZ` may be null for slices.
template <typename T>
Volume<T> elasticDeform(const Volume<T>& volume, const Volume<float>& displacementX, const Volume<float>& displacementY,
                        const Volume<float>* displacementZ, const SampleOptions& options);

/// out(p) = in(matrix p + offset), p = (x, y, z) (scipy.ndimage.affine_transform, axes in our order). The output keeps
/// the input's affine.
template <typename T>
Volume<T> affineTransform(const Volume<T>& volume, const std::array<Vec3, 3>& matrix, const Vec3& offset,
                          const Index3& size, const SampleOptions& options);

/// Rotation in the plane of two axes (first < second, 0 x, 1 y, 2 z) about the centre: positive degrees turn the second
/// axis towards the first as scipy.ndimage.rotate does with the reversed axis numbers. `reshape` grows the plane so
/// that nothing is cut off.
struct RotationPlane {
    int first = 0;
    int second = 1;
};
template <typename T>
Volume<T> rotateVolume(const Volume<T>& volume, double degrees, RotationPlane plane, bool reshape,
                       const SampleOptions& options);

/// OpenCV's warpAffine of a slice: `forward` maps input to output pixels and is inverted; source positions are
/// quantised to 1/32 pixel as OpenCV does.
enum class WarpInterpolation { Nearest, Linear, Cubic };
enum class WarpBorder { Constant, Replicate };
void warpAffine(SliceView<const std::uint8_t> in, const std::array<std::array<double, 3>, 2>& forward,
                WarpInterpolation interpolation, WarpBorder border, std::uint8_t fill, SliceView<std::uint8_t> out);

}  // namespace medseg
