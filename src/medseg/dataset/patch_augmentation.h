// Random changes of training patches.
#pragma once

#include "medseg/base/random.h"
#include "medseg/dataset/patch_transform.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// Reads a patch as training sees it. Shape: rotation about all three axes, zoom, shift, flips and elastic deformation
/// in one resampling out of the volume, so that no empty corners turn in. Intensity: lower resolution, blur, then
/// factor, gamma, contrast, brightness and noise, as augment() does for slices. The shares of width that
/// settings.shift, .elastic and .elasticSpacing name are of the patch's x axis. With settings.enabled false the patch
/// is read as it is. The result depends on the random stream only: give each patch its own.
void readTrainingPatch(const VolumeCache& cache, const PatchPlace& place, const Index3& size,
                       const AugmentationSettings& settings, Random& random, PatchSample& sample);

/// Gaussian blur along all axes, `sigma` in voxels, kernel cut at 3 sigma; the border is repeated.
void blurPatch(std::vector<float>& image, const Index3& size, double sigma);

/// What a scan of lower resolution would show: `factor` (0..1) times as many voxels along each axis by nearest
/// neighbour, then back by linear interpolation.
void lowerPatchResolution(std::vector<float>& image, const Index3& size, double factor);

}  // namespace medseg
