// Position as network input: tells left from right and one rib or vertebra from the next.
#pragma once

#include <array>
#include <cstdint>
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

/// A box of voxels of a volume, both along x, y, z; it may reach over the volume's border.
struct VolumePart {
    std::array<std::int64_t, 3> start{};
    std::array<std::int64_t, 3> volume{};  ///< size of the whole
};

/// The same for boxes, `images` (batch, 1, depth, height, width): each of "x", "y", "z" runs from -1 at the first voxel
/// of the volume to 1 at the last, and on in the same steps beyond.
torch::Tensor appendVolumeCoordinates(const torch::Tensor& images, const std::vector<std::string>& axes,
                                      const std::vector<VolumePart>& parts);

}  // namespace medseg
