// Cutting patches out of cached volumes, as they are or through an affine map and a smooth deformation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/dataset/patch_sampler.h"

namespace medseg {

/// A patch on its way into a batch: image size.z x size.y x size.x and labels layers x size.z x size.y x size.x, x
/// fastest (16 bits whatever the cache stores).
struct PatchSample {
    Index3 size{};
    int layers = 1;
    std::vector<float> image;           ///< 0..1
    std::vector<std::uint16_t> labels;  ///< 0..n
};

/// Row-major 3x4 map from voxel (x, y, z) of the patch to voxel of the volume.
using PatchMap = std::array<std::array<double, 4>, 3>;

/// How a patch is turned, zoomed, shifted and mirrored about its centre.
struct PatchPose {
    Vec3 degrees{};   ///< rotations about the x, y and z axis, applied in this order
    double zoom = 1;  ///< above 1: structures look larger
    Vec3 shift{};     ///< voxels
    std::array<bool, 3> flip{};
};

/// The map of `pose` for the patch at `place`. Rotations are in millimetres: voxels of unequal `spacing` do not shear.
PatchMap patchMap(const PatchPlace& place, const Index3& size, const Vec3& spacing, const PatchPose& pose);

/// A random displacement of every voxel of a patch, smooth: cubic B-splines over a grid of control points (Rueckert et
/// al. 1999), in voxels.
class VolumeDisplacement {
  public:
    /// Control points `spacing` voxels apart, each displaced by up to `amplitude` voxels along every axis. Amplitudes
    /// above 0.4 of the spacing are cut to it, so that space never folds (Choi and Lee 2000).
    VolumeDisplacement(const Index3& size, double spacing, double amplitude, Random& random);

    /// Adds the displacements of row (y, z) to x, y and z positions (size.x values each).
    void addRow(std::int64_t row, std::int64_t plane, float* x, float* y, float* z) const;
    /// No displacement is longer than this along an axis.
    double limit() const { return limit_; }

  private:
    std::int64_t width_;
    double spacing_, limit_;
    std::int64_t gridRows_ = 0, gridPlanes_ = 0;
    std::vector<float> lines_;  ///< (component, control plane, control row, x): already interpolated along x
};

/// The patch as cached; 0 outside the volume.
void readPatch(const VolumeCache& cache, const PatchPlace& place, const Index3& size, PatchSample& sample);

/// The patch through the map, then the displacement where there is one: trilinear image, nearest labels (no label is
/// invented). What the map turns in comes from the volume around the patch; 0 outside the volume.
void readPatch(const VolumeCache& cache, std::int64_t volume, const Index3& size, const PatchMap& map,
               const VolumeDisplacement* displacement, PatchSample& sample);

}  // namespace medseg
