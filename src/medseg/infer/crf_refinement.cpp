#include "medseg/infer/crf_refinement.h"

#include <cmath>

#include "medseg/base/interrupt.h"
#include "medseg/imaging/crf.h"
#include "medseg/imaging/crop.h"

namespace medseg {
namespace {

constexpr float kNothing = 0.02F;  ///< probability below which a structure is not looked for

/// The most probable structure so far at every voxel.
struct Winners {
    Volume<std::uint16_t> labels;
    Volume<float> best;
    Volume<float> sum;  ///< of all structures, for the background's share; empty with thresholds

    Winners(const Geometry& geometry, bool withBackground) : labels(geometry, 0), best(geometry, 0.0F) {
        if (withBackground) sum = Volume<float>(geometry, 0.0F);
    }

    void add(const Volume<float>& probability, const VoxelBox& box, int structure, float threshold) {
        for (std::int64_t z = 0; z < probability.nz(); ++z)
            for (std::int64_t y = 0; y < probability.ny(); ++y)
                for (std::int64_t x = 0; x < probability.nx(); ++x) {
                    const float p = probability(x, y, z);
                    const std::int64_t i = labels.index(box.low[0] + x, box.low[1] + y, box.low[2] + z);
                    if (!sum.empty()) sum.data()[i] += p;
                    if (p < threshold || p <= best.data()[i]) continue;
                    best.data()[i] = p;
                    labels.data()[i] = static_cast<std::uint16_t>(structure);
                }
    }

    void clearBackground() {
        for (std::int64_t i = 0; i < labels.voxelCount(); ++i)
            if (best.data()[i] < 1.0F - sum.data()[i]) labels.data()[i] = 0;
    }
};

}  // namespace

LabelMap refineLabels(const Volume<float>& image, const ProbabilitySpool& spool, const LabelTable& labels,
                      const std::vector<double>& thresholds) {
    const CrfOptions options;
    const Vec3 spacing = image.geometry().spacing();
    Index3 margin{};
    for (int axis = 0; axis < 3; ++axis)
        margin[axis] = static_cast<std::int64_t>(std::ceil(options.appearanceMm / spacing[axis]));
    const bool softmax = thresholds.empty();
    Winners winners(image.geometry(), softmax);
    for (std::size_t i = 0; i < labels.size(); ++i) {
        throwIfInterrupted();
        const int structure = labels.labels()[i].id;
        if (!spool.has(structure)) continue;
        const Volume<float> probability = spool.volume(structure);
        const VoxelBox tight = boxAbove(probability, kNothing);
        if (tight.empty()) continue;
        const VoxelBox box = tight.grown(margin, image.size());
        const Volume<float> refined = refineProbability(crop(image, box), crop(probability, box), options);
        winners.add(refined, box, structure, softmax ? 0.0F : static_cast<float>(thresholds[i]));
    }
    if (softmax) winners.clearBackground();
    return LabelMap::fromAny(AnyVolume(std::move(winners.labels)), labels, "prediction");
}

}  // namespace medseg
