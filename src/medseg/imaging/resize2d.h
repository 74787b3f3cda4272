// Resizing of slices with half-pixel centres: pixel i of the output lies at (i + 0.5) * in / out - 0.5 of the input,
// the convention of scikit-image, of torch with align_corners=False, and of OpenCV.
#pragma once

#include <cstdint>

#include "medseg/volume/volume.h"

namespace medseg {

/// Bilinear, without smoothing before downsampling (as cv2 INTER_LINEAR and torch without antialias). The views may be
/// of any size and stride; they must not overlap. Instantiated for uint8, int16 and float (integers are rounded half up
/// to the nearest value).
template <typename T>
void resizeBilinear(SliceView<const T> in, SliceView<T> out);

/// The input pixel under each output pixel's centre, floor((i + 0.5) * in / out) in exact integer arithmetic: torch's
/// nearest-exact, scikit-image order 0. For labels. Instantiated for uint8, int8, uint16, int16, uint32, int32, float.
template <typename T>
void resizeNearest(SliceView<const T> in, SliceView<T> out);

}  // namespace medseg
