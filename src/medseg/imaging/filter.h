// Linear and rank filters with scipy.ndimage's conventions: kernels, radii and borders.
#pragma once

#include <cstdint>

#include "medseg/imaging/spline.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// scipy.ndimage.gaussian_filter: sigma in voxels along x, y, z (0 leaves the axis alone), radius
/// int(truncate * sigma + 0.5), weights normalised to sum 1. Boundary names as in filters: Reflect, Nearest, Mirror,
/// Constant (with `fill`), Wrap and GridWrap (both periodic). Sums in double precision,
/// rounded to T after each axis; no memory beyond input and output but some lines a thread. NaN spreads as far as the
/// kernel reaches. All filters throw DataError for a volume without voxels and UsageError for parameters that are not
/// finite.
struct GaussianOptions {
    Boundary boundary = Boundary::Reflect;
    double truncate = 4.0;
    double fill = 0;
};
template <typename T>
Volume<T> gaussianFilter(const Volume<T>& volume, const Vec3& sigma, const GaussianOptions& options = {});
/// Sigma in millimetres.
template <typename T>
Volume<T> gaussianFilterMm(const Volume<T>& volume, double sigmaMm, const GaussianOptions& options = {});

/// Sigma in millimetres, in place.
template <typename T>
void smoothInPlace(Volume<T>& volume, double sigmaMm, const GaussianOptions& options = {});

/// OpenCV's GaussianBlur of a slice: an odd kernel of `size` taps, exp(-x^2 / 2 sigma^2) normalised, border
/// REFLECT_101.
void gaussianBlur(SliceView<const float> in, int size, double sigma, SliceView<float> out);

/// Mean of a cube of `size` voxels an axis (scipy.ndimage.uniform_filter); axes of one voxel are left alone.
template <typename T>
Volume<T> uniformFilter(const Volume<T>& volume, int size, Boundary boundary = Boundary::Reflect);

/// Derivative -1 0 1 along `axis` (0 x, 1 y, 2 z) and 1 2 1 along the others (scipy.ndimage.sobel).
template <typename T>
Volume<T> sobelFilter(const Volume<T>& volume, int axis, Boundary boundary = Boundary::Reflect);

/// Median of a cube of `size` (odd) voxels an axis; axes of one voxel are left alone.
template <typename T>
Volume<T> medianFilter(const Volume<T>& volume, int size, Boundary boundary = Boundary::Reflect);

}  // namespace medseg
