// The grid and the values that a three-dimensional network sees; the same for training and prediction.
#pragma once

#include <array>

#include "medseg/recipe/settings.h"
#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// What all volumes of a cache have in common.
struct VolumeFormat {
    Vec3 spacing{1.5, 1.5, 1.5};              ///< wanted voxel size along x, y, z of the canonical grid, mm
    std::array<double, 2> window{-200, 300};  ///< values mapped to 0 and 1
    LabelTable labels;                        ///< ids 1..n

    /// Bytes of a stored label value: 1, or 2 above 255 labels.
    int labelBytes() const { return labels.size() <= 255 ? 1 : 2; }
};

/// Throws UsageError when the window is empty.
VolumeFormat volumeFormatFrom(const PrepareSettings& settings, const LabelTable& labels);

/// The network's grid of a volume: turned towards RAS (nearest axes; oblique volumes stay oblique), with exactly the
/// same field of view and max(1, round(extent / spacing)) voxels along each axis, so that the voxel size is the wanted
/// one but for what rounding to whole voxels takes.
Geometry networkGrid(const Geometry& source, const Vec3& spacing);

/// The image on networkGrid(): clipped to the window, scaled to 0..1, then linear interpolation between voxel centres
/// (half-pixel convention, border values repeated).
Volume<float> networkVolume(Volume<float> image, const VolumeFormat& format);

/// Labels on networkGrid(): at each voxel the label with the largest trilinear weight, so no label is invented.
LabelMap networkLabels(const LabelMap& labels, const VolumeFormat& format);

}  // namespace medseg
