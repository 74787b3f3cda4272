// Smoothing of label maps: slice-wise predictions disagree from slice to slice.
#pragma once

#include "medseg/volume/volume.h"

namespace medseg {

struct LabelSmoothingOptions {
    /// Sigma in mm along x, y, z of the votes' Gaussian weights; 0 leaves an axis alone. The default looks across
    /// slices only.
    Vec3 sigmaMm{0, 0, 3};
};

/// Every voxel takes the label with the largest sum of Gaussian weights in its neighbourhood (up to 2 sigma, at most 15
/// voxels an axis); of equal sums its own label, else the smallest. Only labels of the neighbourhood occur; background
/// votes too. Needs no memory beyond input and output. Throws DataError for a volume without voxels, UsageError for a
/// sigma that is negative or not finite. Instantiated for uint8 and uint16.
template <typename T>
Volume<T> smoothLabels(const Volume<T>& labels, const LabelSmoothingOptions& options = {});

}  // namespace medseg
