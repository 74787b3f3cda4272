#include "medseg/imaging/crf.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/filter.h"
#include "medseg/imaging/window.h"

namespace medseg {
namespace {

// Bilateral filtering by splatting values into a coarse grid over space and intensity, blurring there, and reading back
// by linear interpolation. Each grid plane holds sums of values and of weights.
class BilateralGrid {
  public:
    BilateralGrid(const Volume<float>& image, double spatialMm, double intensity) : image_(image) {
        const Vec3 spacing = image.geometry().spacing();
        const ValueRange range = finiteRange(image.voxels());
        low_ = range.low;
        // A wide range would make the grid large for nothing: 64 levels at most.
        intensityStep_ = std::max(intensity, (range.high - range.low) / 64);
        levels_ = static_cast<std::int64_t>((range.high - range.low) / intensityStep_) + 2;
        for (int axis = 0; axis < 3; ++axis) {
            step_[axis] = std::max(1.0, spatialMm / spacing[axis]);
            nodes_[axis] = static_cast<std::int64_t>(static_cast<double>(image.size()[axis] - 1) / step_[axis]) + 2;
        }
        rowNodes_ = nodes_[0] * levels_;
        sums_.resize(static_cast<std::size_t>(rowNodes_ * nodes_[1] * nodes_[2]));
    }

    /// out = normalised bilateral filter of `values`; may be called again.
    void apply(const Volume<float>& values, Volume<float>& out) {
        splat(values);
        for (int axis = 0; axis < 4; ++axis) blur(axis);
        slice(out);
    }

  private:
    struct Sum {
        float value = 0;
        float weight = 0;
    };
    struct Place {
        std::int64_t index;
        float part;
    };

    Place place(std::int64_t i, int axis) const {
        const double position = static_cast<double>(i) / step_[axis];
        const auto index = static_cast<std::int64_t>(position);
        return {index, static_cast<float>(position - static_cast<double>(index))};
    }
    Place level(float intensity) const {
        const double position = std::isfinite(intensity) ? (static_cast<double>(intensity) - low_) / intensityStep_ : 0;
        const auto index = std::clamp<std::int64_t>(static_cast<std::int64_t>(position), 0, levels_ - 2);
        return {index, std::clamp(static_cast<float>(position - static_cast<double>(index)), 0.0F, 1.0F)};
    }
    Sum* at(std::int64_t x, std::int64_t y, std::int64_t z) {
        return sums_.data() + rowNodes_ * (y + nodes_[1] * z) + x * levels_;
    }

    // Nodes (z) are filled in parallel: each node layer sees the slices that lie within one step of it.
    void splat(const Volume<float>& values) {
        parallelForEach(0, nodes_[2], [&](std::int64_t node) {
            std::fill_n(at(0, 0, node), rowNodes_ * nodes_[1], Sum{});
            for (std::int64_t z = 0; z < image_.nz(); ++z) {
                const Place pz = place(z, 2);
                if (pz.index != node && pz.index + 1 != node) continue;
                splatSlice(values, z, node, pz.index == node ? 1 - pz.part : pz.part);
            }
        });
    }

    void splatSlice(const Volume<float>& values, std::int64_t z, std::int64_t node, float weight) {
        if (weight == 0) return;
        for (std::int64_t y = 0; y < image_.ny(); ++y) {
            const Place py = place(y, 1);
            for (std::int64_t x = 0; x < image_.nx(); ++x) {
                const Place px = place(x, 0), pi = level(image_(x, y, z));
                const float value = values(x, y, z);
                for (int corner = 0; corner < 8; ++corner) {
                    const int cx = corner & 1, cy = corner >> 1 & 1, ci = corner >> 2;
                    const float share = weight * (cx ? px.part : 1 - px.part) * (cy ? py.part : 1 - py.part) *
                                        (ci ? pi.part : 1 - pi.part);
                    Sum& sum = at(px.index + cx, py.index + cy, node)[pi.index + ci];
                    sum.value += share * value;
                    sum.weight += share;
                }
            }
        }
    }

    // 1 4 6 4 1 / 16, about one node of sigma, along x, y, z or intensity (3).
    void blur(int axis) {
        const std::int64_t n = axis == 3 ? levels_ : nodes_[axis];
        const std::int64_t step = axis == 3 ? 1 : axis == 0 ? levels_ : axis == 1 ? rowNodes_ : rowNodes_ * nodes_[1];
        const std::int64_t lines = static_cast<std::int64_t>(sums_.size()) / n;
        parallelFor(0, lines, 1024, [&](std::int64_t first, std::int64_t last) {
            std::vector<Sum> line(static_cast<std::size_t>(n + 4));
            for (std::int64_t l = first; l < last; ++l) {
                Sum* base = sums_.data() + (l / step) * step * n + l % step;
                for (std::int64_t i = 0; i < n; ++i) line[i + 2] = base[i * step];
                for (std::int64_t i = 0; i < n; ++i) {
                    const auto blurred = [&](float Sum::*part) {
                        return (line[i].*part + line[i + 4].*part + 4 * (line[i + 1].*part + line[i + 3].*part) +
                                6 * line[i + 2].*part) /
                               16;
                    };
                    base[i * step] = {blurred(&Sum::value), blurred(&Sum::weight)};
                }
            }
        });
    }

    void slice(Volume<float>& out) {
        parallelForEach(0, image_.nz(), [&](std::int64_t z) {
            const Place pz = place(z, 2);
            for (std::int64_t y = 0; y < image_.ny(); ++y) {
                const Place py = place(y, 1);
                for (std::int64_t x = 0; x < image_.nx(); ++x) {
                    const Place px = place(x, 0), pi = level(image_(x, y, z));
                    float value = 0, weight = 0;
                    for (int corner = 0; corner < 16; ++corner) {
                        const int cx = corner & 1, cy = corner >> 1 & 1, cz = corner >> 2 & 1, ci = corner >> 3;
                        const float share = (cx ? px.part : 1 - px.part) * (cy ? py.part : 1 - py.part) *
                                            (cz ? pz.part : 1 - pz.part) * (ci ? pi.part : 1 - pi.part);
                        const Sum& sum = at(px.index + cx, py.index + cy, pz.index + cz)[pi.index + ci];
                        value += share * sum.value;
                        weight += share * sum.weight;
                    }
                    out(x, y, z) = weight > 0 ? value / weight : 0;
                }
            }
        });
    }

    const Volume<float>& image_;
    double low_ = 0, intensityStep_ = 1;
    std::int64_t levels_ = 2, rowNodes_ = 0;
    Vec3 step_{};
    Index3 nodes_{};
    std::vector<Sum> sums_;
};

void requireOptions(const CrfOptions& options) {
    const bool valid = options.iterations >= 1 && options.smoothnessMm > 0 && options.appearanceMm > 0 &&
                       options.appearanceIntensity > 0 && options.smoothnessWeight >= 0 &&
                       options.appearanceWeight >= 0;
    if (!valid) throw UsageError("random field: iterations and sigmas must be positive, weights not negative");
}

float unary(float probability) {
    const double p = std::isnan(probability) ? 0.5 : std::clamp(static_cast<double>(probability), 1e-6, 1 - 1e-6);
    return static_cast<float>(p);
}

template <typename Body>
void forRanges(std::int64_t count, const Body& body) {
    parallelFor(0, count, 1 << 16, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) body(i);
    });
}

/// Turns the energies of all classes at voxel i into probabilities.
void softmaxAt(std::vector<Volume<float>>& classes, std::int64_t i) {
    float largest = classes.front().data()[i];
    for (const auto& energy : classes) largest = std::max(largest, energy.data()[i]);
    float sum = 0;
    for (auto& energy : classes) sum += energy.data()[i] = std::exp(energy.data()[i] - largest);
    for (auto& energy : classes) energy.data()[i] /= sum;
}

}  // namespace

Volume<float> refineProbability(const Volume<float>& image, const Volume<float>& probability,
                                const CrfOptions& options) {
    requireOptions(options);
    if (image.empty() || image.size() != probability.size())
        throw DataError(fmt::format("random field: image {} and probability {} differ in size",
                                    formatSize(image.size()), formatSize(probability.size())));
    BilateralGrid grid(image, options.appearanceMm, options.appearanceIntensity);
    Volume<float> current(probability.geometry());
    forRanges(current.voxelCount(), [&](std::int64_t i) { current.data()[i] = unary(probability.data()[i]); });
    // The energy of both kernels is collected in one volume: with two classes the message is 2 k(q) - 1.
    const auto update = [&](std::int64_t i, float smooth, float similar) {
        const double p = unary(probability.data()[i]);
        const double logit = std::log(p / (1 - p)) + options.smoothnessWeight * (2 * static_cast<double>(smooth) - 1) +
                             options.appearanceWeight * (2 * static_cast<double>(similar) - 1);
        return static_cast<float>(1 / (1 + std::exp(-logit)));
    };
    Volume<float> similar(probability.geometry());
    for (int iteration = 0; iteration < options.iterations; ++iteration) {
        grid.apply(current, similar);
        smoothInPlace(current, options.smoothnessMm, {Boundary::Nearest, 3.0, 0.0});
        forRanges(current.voxelCount(),
                  [&](std::int64_t i) { current.data()[i] = update(i, current.data()[i], similar.data()[i]); });
    }
    return current;
}

void refineProbabilities(const Volume<float>& image, std::vector<Volume<float>>& probabilities,
                         const CrfOptions& options) {
    requireOptions(options);
    for (const auto& probability : probabilities)
        if (image.empty() || image.size() != probability.size())
            throw DataError(fmt::format("random field: image {} and probability {} differ in size",
                                        formatSize(image.size()), formatSize(probability.size())));
    if (probabilities.empty()) return;
    BilateralGrid grid(image, options.appearanceMm, options.appearanceIntensity);
    std::vector<Volume<float>> unaries;
    for (auto& probability : probabilities) {
        unaries.push_back(probability.clone());
        forRanges(probability.voxelCount(),
                  [&](std::int64_t i) { probability.data()[i] = unary(probability.data()[i]); });
    }
    const std::size_t classes = probabilities.size();
    Volume<float> similar(image.geometry());
    for (int iteration = 0; iteration < options.iterations; ++iteration) {
        // With a Potts model a class's energy needs its own probability only, so it can take that one's place.
        for (std::size_t c = 0; c < classes; ++c) {
            grid.apply(probabilities[c], similar);
            smoothInPlace(probabilities[c], options.smoothnessMm, {Boundary::Nearest, 3.0, 0.0});
            forRanges(image.voxelCount(), [&](std::int64_t i) {
                float& smooth = probabilities[c].data()[i];
                smooth = static_cast<float>(std::log(static_cast<double>(unary(unaries[c].data()[i]))) +
                                            options.appearanceWeight * static_cast<double>(similar.data()[i]) +
                                            options.smoothnessWeight * static_cast<double>(smooth));
            });
        }
        forRanges(image.voxelCount(), [&](std::int64_t i) { softmaxAt(probabilities, i); });
    }
}

}  // namespace medseg
