// Random changes of a training slice: a new look at the same anatomy.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// One slice in memory: image height x width, labels layers x height x width (16 bits whatever the cache stores).
struct SliceSample {
    std::int64_t height = 0, width = 0;
    int layers = 1;
    std::vector<float> image;           ///< 0..1
    std::vector<std::uint16_t> labels;  ///< 0..n
};

/// Rotation, zoom, shift and flips about the centre in one resampling (bilinear image, nearest labels; outside: 0),
/// then gamma, contrast about the mean, brightness and noise; the image is clipped to 0..1 again. Shape and intensity
/// are each changed with settings.probability. Does nothing when settings.enabled is false. The result depends on the
/// random stream only: give each sample its own.
void augment(SliceSample& sample, const AugmentationSettings& settings, Random& random);

/// Row-major 2x3 map from output to input pixel coordinates.
using PlaneMap = std::array<double, 6>;

/// Turns by `degrees` (counter-clockwise as drawn with row 0 at the top), zooms in by `zoom`, shifts by (dx, dy)
/// pixels, all about the centre.
PlaneMap planeMap(std::int64_t height, std::int64_t width, double degrees, double zoom, double dx, double dy,
                  bool flipX, bool flipY);

/// Resamples image (bilinear) and labels (nearest) through the map; 0 outside.
void transformPlane(SliceSample& sample, const PlaneMap& map);

}  // namespace medseg
