// Resizing in index space with the conventions of scipy.ndimage.zoom, skimage.transform.resize and nnU-Net.
#pragma once

#include "medseg/imaging/spline.h"
#include "medseg/volume/volume.h"

namespace medseg {

struct ZoomOptions {
    int order = 3;  ///< B-spline order 0..5
    Boundary boundary = Boundary::Constant;
    /// false: the first and last samples of input and output coincide; true: half-pixel centres.
    bool gridMode = false;
    double fill = 0;
};
/// scipy.ndimage.zoom: round(n * factor) voxels (halves to even) along x, y, z. Integers are rounded half away from
/// zero. The geometry follows the samples. Memory as in resampleSeparable(). Throws UsageError for factors that are not
/// positive. Instantiated for uint8, uint16, int16, int32, float, double.
template <typename T>
Volume<T> zoomVolume(const Volume<T>& volume, const Vec3& factors, const ZoomOptions& options = {});

struct ResizeOptions {
    int order = 1;  ///< 0..5
    Boundary boundary =
        Boundary::Mirror;      ///< scikit-image's names: reflect = Mirror, edge = Nearest, constant = Constant
    bool antiAliasing = true;  ///< Gaussian of sigma max(0, (in / out - 1) / 2) before
    bool clip = true;          ///< to the range of the input
    double fill = 0;
};
/// skimage.transform.resize with preserve_range, on float or double volumes (a slice is a volume with nz = 1).
template <typename T>
Volume<T> resizeVolume(const Volume<T>& volume, const Index3& size, const ResizeOptions& options = {});

/// nnU-Net's resampling of images: resizeVolume of order 3, edge, no anti-aliasing, on the whole volume; or, where
/// spacings are anisotropic, slice by slice across `separateAxis` (0 x, 1 y, 2 z; -1 for none) and then by order
/// `orderAcross` (0 or 1) along it. Every slice is clipped to its own range.
Volume<float> resampleNnunet(const Volume<float>& image, const Index3& size, int separateAxis = -1, int order = 3,
                             int orderAcross = 0);
/// nnU-Net's resampling of labels with order 1: a voxel takes the largest label whose mask, resized linearly with edge
/// borders, reaches 0.5; 0 if none does.
template <typename T>
Volume<T> resampleNnunetLabels(const Volume<T>& labels, const Index3& size);

}  // namespace medseg
