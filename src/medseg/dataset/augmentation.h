// Random changes of a training slice: a new look at the same anatomy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/dataset/plane_transform.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// One slice in memory: image channels x height x width, labels layers x height x width (16 bits whatever the cache
/// stores).
struct SliceSample {
    std::int64_t height = 0, width = 0;
    int layers = 1;
    int channels = 1;
    std::vector<float> image;           ///< 0..1
    std::vector<std::uint16_t> labels;  ///< 0..n
};

/// Shape: rotation, zoom, shift, flips about the centre and elastic deformation in one resampling (bilinear image,
/// nearest labels; outside: 0). Intensity: lower resolution, blur, then factor, gamma, contrast about the mean,
/// brightness and noise; the image is clipped to 0..1 again. All channels and layers change alike, noise alone is drawn
/// for each channel. Affine shape and the last group are each changed with settings.probability; elastic deformation,
/// low resolution and blur each with settings.effectProbability. Does nothing when settings.enabled is false. The
/// result depends on the random stream only: give each sample its own.
void augment(SliceSample& sample, const AugmentationSettings& settings, Random& random);

/// Whether an effect that is on happens to this sample. Effects that are off draw nothing, so that switching one on
/// leaves the others' values as they were.
bool effectChosen(bool on, const AugmentationSettings& settings, Random& random);

/// The last of the intensity changes: factor, gamma, contrast about the mean, brightness and noise of `channels` equal
/// parts of the image, clipped to 0..1.
void changeIntensity(std::span<float> image, int channels, const AugmentationSettings& settings, Random& random);

}  // namespace medseg
