// Position as network input: tells left from right and one rib or vertebra from the next.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

namespace medseg {

/// Appends one channel for each of `axes` to `images` (batch, channels, height, width): "x" runs from -1 (first column)
/// to 1 (last), "y" likewise along rows, "z" is `slicePositions` (one value an image, -1 first slice of its volume .. 1
/// last).
torch::Tensor appendCoordinates(const torch::Tensor& images, const std::vector<std::string>& axes,
                                const std::vector<float>& slicePositions);

/// -1 for slice 0 of `count`, 1 for the last; 0 when there is only one.
float slicePosition(std::int64_t slice, std::int64_t count);

}  // namespace medseg
