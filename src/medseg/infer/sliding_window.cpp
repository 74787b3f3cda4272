#include "medseg/infer/sliding_window.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

/// One axis of the volume: where its windows start and what their weights add up to.
struct Axis {
    std::int64_t size, patch;
    std::vector<std::int64_t> starts;
    std::vector<float> profile;
    std::vector<float> inverseSum;  ///< of each voxel: 1 / sum of the weights of all windows

    Axis(std::int64_t n, std::int64_t p, double overlap)
        : size(n), patch(p), starts(windowStarts(n, p, overlap)), profile(windowProfile(p)) {
        std::vector<double> sums(static_cast<std::size_t>(n), 0.0);
        for (const std::int64_t start : starts)
            for (std::int64_t i = firstInside(start); i < endInside(start); ++i)
                sums[static_cast<std::size_t>(start + i)] += profile[static_cast<std::size_t>(i)];
        for (const double sum : sums) inverseSum.push_back(static_cast<float>(1 / sum));
    }
    /// The voxels of a window that lie inside the volume.
    std::int64_t firstInside(std::int64_t start) const { return std::max<std::int64_t>(0, -start); }
    std::int64_t endInside(std::int64_t start) const { return std::min(patch, size - start); }
};

using Axes = std::array<Axis, 3>;

/// Planes that windows still add to, from `first` on.
class OpenPlanes {
  public:
    explicit OpenPlanes(const Axes& axes) : axes_(axes) {}

    /// `values`: one window, (z, y, x, channels), dense.
    void add(const float* values, std::int64_t channels, const Index3& start) {
        const auto& [ax, ay, az] = axes_;
        const std::int64_t lastPlane = start[2] + az.endInside(start[2]);
        while (first_ + std::ssize(planes_) < lastPlane) planes_.push_back(torch::zeros({ay.size, ax.size, channels}));
        parallelForEach(az.firstInside(start[2]), az.endInside(start[2]), [&](std::int64_t z) {
            float* plane = planes_[static_cast<std::size_t>(start[2] + z - first_)].data_ptr<float>();
            for (std::int64_t y = ay.firstInside(start[1]); y < ay.endInside(start[1]); ++y) {
                const float weight = az.profile[static_cast<std::size_t>(z)] * ay.profile[static_cast<std::size_t>(y)];
                for (std::int64_t x = ax.firstInside(start[0]); x < ax.endInside(start[0]); ++x) {
                    const float w = weight * ax.profile[static_cast<std::size_t>(x)];
                    const float* source = values + ((z * ay.patch + y) * ax.patch + x) * channels;
                    float* target = plane + ((start[1] + y) * ax.size + start[0] + x) * channels;
                    for (std::int64_t c = 0; c < channels; ++c) target[c] += w * source[c];
                }
            }
        });
    }

    /// Hands over all planes below `end`, divided by their weights.
    void flush(std::int64_t end, const SlidingWindow::PlaneSink& sink) {
        for (; first_ < end; ++first_) {
            torch::Tensor plane = std::move(planes_.front());
            planes_.pop_front();
            normalise(plane, first_);
            sink(first_, plane);
        }
    }

  private:
    void normalise(torch::Tensor& plane, std::int64_t z) const {
        const auto& [ax, ay, az] = axes_;
        const std::int64_t channels = plane.size(2);
        float* values = plane.data_ptr<float>();
        parallelFor(0, ay.size, 16, [&](std::int64_t firstRow, std::int64_t lastRow) {
            for (std::int64_t y = firstRow; y < lastRow; ++y) {
                const float row =
                    az.inverseSum[static_cast<std::size_t>(z)] * ay.inverseSum[static_cast<std::size_t>(y)];
                for (std::int64_t x = 0; x < ax.size; ++x) {
                    const float w = row * ax.inverseSum[static_cast<std::size_t>(x)];
                    float* pixel = values + (y * ax.size + x) * channels;
                    for (std::int64_t c = 0; c < channels; ++c) pixel[c] *= w;
                }
            }
        });
    }

    const Axes& axes_;
    std::int64_t first_ = 0;
    std::deque<torch::Tensor> planes_;
};

/// The window's voxels, 0 outside the volume.
void cutWindow(const Volume<float>& image, const Axes& axes, const Index3& start, float* out) {
    const auto& [ax, ay, az] = axes;
    std::fill_n(out, ax.patch * ay.patch * az.patch, 0.0F);
    const std::int64_t x0 = ax.firstInside(start[0]), count = ax.endInside(start[0]) - x0;
    parallelForEach(az.firstInside(start[2]), az.endInside(start[2]), [&](std::int64_t z) {
        for (std::int64_t y = ay.firstInside(start[1]); y < ay.endInside(start[1]); ++y)
            std::copy_n(image.data() + image.index(start[0] + x0, start[1] + y, start[2] + z), count,
                        out + (z * ay.patch + y) * ax.patch + x0);
    });
}

}  // namespace

std::vector<std::int64_t> windowStarts(std::int64_t size, std::int64_t patch, double overlap) {
    if (size <= patch) return {-((patch - size) / 2)};
    const double step = static_cast<double>(patch) * (1 - overlap);
    const auto last = static_cast<double>(size - patch);
    const auto count = static_cast<std::int64_t>(std::ceil(last / step)) + 1;
    std::vector<std::int64_t> starts;
    for (std::int64_t i = 0; i < count; ++i)
        starts.push_back(std::llrint(last / static_cast<double>(count - 1) * static_cast<double>(i)));
    return starts;
}

std::vector<float> windowProfile(std::int64_t patch) {
    std::vector<float> profile;
    const double sigma = static_cast<double>(patch) / 8;
    for (std::int64_t i = 0; i < patch; ++i) {
        const double distance = static_cast<double>(i - patch / 2) / sigma;
        profile.push_back(static_cast<float>(std::exp(-0.5 * distance * distance)));
    }
    return profile;
}

std::int64_t SlidingWindow::windowCount(const Index3& size) const {
    std::int64_t count = 1;
    for (std::size_t axis = 0; axis < 3; ++axis) count *= std::ssize(windowStarts(size[axis], patch_[axis], overlap_));
    return count;
}

void SlidingWindow::run(const Volume<float>& image, const Network& network, const PlaneSink& sink) const {
    const Axes axes{Axis(image.nx(), patch_[0], overlap_), Axis(image.ny(), patch_[1], overlap_),
                    Axis(image.nz(), patch_[2], overlap_)};
    OpenPlanes planes(axes);
    const std::int64_t voxels = patch_[0] * patch_[1] * patch_[2];
    for (const std::int64_t z : axes[2].starts) {
        planes.flush(std::max<std::int64_t>(0, z), sink);
        std::vector<VolumePart> layer;
        for (const std::int64_t y : axes[1].starts)
            for (const std::int64_t x : axes[0].starts) layer.push_back({{x, y, z}, image.size()});
        for (std::size_t first = 0; first < layer.size(); first += static_cast<std::size_t>(batch_)) {
            throwIfInterrupted();
            const std::size_t end = std::min(layer.size(), first + static_cast<std::size_t>(batch_));
            const std::vector<VolumePart> parts(layer.begin() + static_cast<std::ptrdiff_t>(first),
                                                layer.begin() + static_cast<std::ptrdiff_t>(end));
            const auto images = torch::empty({std::ssize(parts), 1, patch_[2], patch_[1], patch_[0]});
            for (std::size_t i = 0; i < parts.size(); ++i)
                cutWindow(image, axes, parts[i].start,
                          images.data_ptr<float>() + static_cast<std::int64_t>(i) * voxels);
            const auto values = network(images, parts).contiguous();
            const std::int64_t channels = values.size(4);
            for (std::size_t i = 0; i < parts.size(); ++i)
                planes.add(values.data_ptr<float>() + static_cast<std::int64_t>(i) * voxels * channels, channels,
                           parts[i].start);
        }
    }
    planes.flush(image.nz(), sink);
}

}  // namespace medseg
