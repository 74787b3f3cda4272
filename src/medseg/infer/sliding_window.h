// Volumes through a network patch by patch: overlapping windows, blended by a Gaussian, plane after plane.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/coordinates.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// Where windows of `patch` voxels start in a line of `size`: as few as keep the step between neighbours at or below
/// (1 - overlap) * patch, evenly spread from the first to the last voxel (Isensee et al. 2021). A line shorter than the
/// patch gets one window with the line in its middle (an odd voxel at the end), so its start may be negative.
std::vector<std::int64_t> windowStarts(std::int64_t size, std::int64_t patch, double overlap);

/// Weight of each voxel of a window along one axis: a Gaussian about voxel patch / 2 with sigma patch / 8, 1 at its
/// centre. The weight in the window is the product over the axes.
std::vector<float> windowProfile(std::int64_t patch);

class SlidingWindow {
  public:
    /// `patch`: voxels along x, y, z; `batch`: windows given to the network at once.
    SlidingWindow(const Index3& patch, double overlap, std::int64_t batch)
        : patch_(patch), overlap_(overlap), batch_(batch) {}

    /// images: float (count, 1, z, y, x), 0 outside the volume; `parts` says where each lies. Returns values of every
    /// voxel, float (count, z, y, x, channels) on the CPU.
    using Network = std::function<torch::Tensor(const torch::Tensor& images, const std::vector<VolumePart>& parts)>;
    /// Weighted mean of all windows over a plane: float (y, x, channels). Planes arrive in ascending z.
    using PlaneSink = std::function<void(std::int64_t z, const torch::Tensor& values)>;

    /// Calls the network for all windows, and the sink for each plane of the volume as soon as no window to come
    /// touches it: memory for about patch.z planes whatever the height of the volume. The result does not depend on the
    /// number of threads nor, but for rounding inside the network, on the batch. Throws InterruptedError.
    void run(const Volume<float>& image, const Network& network, const PlaneSink& sink) const;

    /// Number of windows in a volume of this size.
    std::int64_t windowCount(const Index3& size) const;

  private:
    Index3 patch_;
    double overlap_;
    std::int64_t batch_;
};

}  // namespace medseg
