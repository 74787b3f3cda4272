#include "medseg/metrics/detection.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "medseg/imaging/runs.h"

namespace medseg {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double ratio(double numerator, double denominator) {
    return denominator == 0 ? kNaN : numerator / denominator;
}

/// A stretch of one row of the box that belongs to a lesion.
struct LesionRun {
    std::int64_t row = 0;
    std::int32_t first = 0;
    std::int32_t end = 0;
    std::int32_t lesion = 0;
};

struct Lesions {
    std::vector<LesionRun> runs;  // by row, then first
    std::vector<std::int64_t> voxels;
};

std::vector<std::uint8_t> cropMask(const StructureView& structure, const IndexBox& box, const Index3& size) {
    std::vector<std::uint8_t> mask(size[0] * size[1] * size[2], 0);
    if (structure.map == nullptr || structure.id <= 0 || structure.box.empty()) return mask;
    structure.map->visit([&](const auto& volume) {
        std::uint8_t* out = mask.data();
        for (std::int64_t z = 0; z < size[2]; ++z)
            for (std::int64_t y = 0; y < size[1]; ++y) {
                const auto* row = volume.data() + volume.index(box.first[0], box.first[1] + y, box.first[2] + z);
                for (std::int64_t x = 0; x < size[0]; ++x) *out++ = row[x] == structure.id;
            }
    });
    return mask;
}

Lesions findLesions(const StructureView& structure, const IndexBox& box, LesionConnectivity connectivity) {
    const Index3 size{box.last[0] - box.first[0], box.last[1] - box.first[1], box.last[2] - box.first[2]};
    const std::vector<std::uint8_t> mask = cropMask(structure, box, size);
    const RowGrid<const std::uint8_t> grid{mask.data(), size[0], size[1], size[2], size[0], size[0] * size[1]};
    using enum RowContact;
    const RunContacts contacts = connectivity == LesionConnectivity::Full ? RunContacts{Diagonal, Diagonal, Diagonal}
                                                                          : RunContacts{Overlap, Overlap, None};
    RunComponents<RunKind::EqualValues, const std::uint8_t> components(grid, contacts);
    Lesions lesions;
    components.numberComponents(
        [&](std::int32_t, std::int32_t voxels, std::int32_t) { lesions.voxels.push_back(voxels); });
    for (std::int64_t slab = 0; slab < components.slabCount(); ++slab)
        components.forSlab(slab, [&](std::int64_t first, std::int64_t end, std::int64_t y, std::int64_t plane, auto,
                                     std::int32_t run) {
            lesions.runs.push_back({y + size[1] * plane, static_cast<std::int32_t>(first),
                                    static_cast<std::int32_t>(end), components.number(run) - 1});
        });
    return lesions;
}

/// Shared voxels of every pair of lesions, found by walking both lists of runs together.
std::unordered_map<std::uint64_t, std::int64_t> sharedVoxels(const Lesions& a, const Lesions& b) {
    std::unordered_map<std::uint64_t, std::int64_t> shared;
    std::size_t j = 0;
    for (const LesionRun& run : a.runs) {
        const auto before = [&](const LesionRun& other) {
            return other.row != run.row ? other.row < run.row : other.end <= run.first;
        };
        while (j < b.runs.size() && before(b.runs[j])) ++j;
        for (std::size_t k = j; k < b.runs.size() && b.runs[k].row == run.row && b.runs[k].first < run.end; ++k) {
            const std::int64_t voxels = std::min(run.end, b.runs[k].end) - std::max(run.first, b.runs[k].first);
            const std::uint64_t key =
                static_cast<std::uint64_t>(run.lesion) << 32 | static_cast<std::uint32_t>(b.runs[k].lesion);
            shared[key] += voxels;
        }
    }
    return shared;
}

std::vector<LesionPair> byDescendingIou(const LesionOverlap& overlap, double threshold) {
    std::vector<LesionPair> pairs;
    for (const LesionPair& pair : overlap.pairs)
        if (pair.iou >= threshold) pairs.push_back(pair);
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](const LesionPair& a, const LesionPair& b) { return a.iou > b.iou; });
    return pairs;
}

/// Augmenting paths from one reference lesion at a time (Kuhn).
class Matching {
  public:
    explicit Matching(const LesionOverlap& overlap, double threshold)
        : candidates_(overlap.referenceVoxels.size()), partner_(overlap.predictionVoxels.size(), -1) {
        for (const LesionPair& pair : overlap.pairs)
            if (pair.iou >= threshold) candidates_[pair.reference].push_back(pair.prediction);
    }

    std::int64_t size() {
        std::int64_t matches = 0;
        for (std::size_t reference = 0; reference < candidates_.size(); ++reference) {
            visited_.assign(partner_.size(), false);
            if (augment(static_cast<std::int32_t>(reference))) ++matches;
        }
        return matches;
    }

  private:
    bool augment(std::int32_t reference) {
        for (const std::int32_t prediction : candidates_[reference]) {
            if (visited_[prediction]) continue;
            visited_[prediction] = true;
            if (partner_[prediction] < 0 || augment(partner_[prediction])) {
                partner_[prediction] = reference;
                return true;
            }
        }
        return false;
    }

    std::vector<std::vector<std::int32_t>> candidates_;
    std::vector<std::int32_t> partner_;
    std::vector<bool> visited_;
};

}  // namespace

std::int64_t LesionOverlap::touchedReferences() const {
    std::set<std::int32_t> touched;
    for (const LesionPair& pair : pairs) touched.insert(pair.reference);
    return static_cast<std::int64_t>(touched.size());
}

std::int64_t LesionOverlap::touchedPredictions() const {
    std::set<std::int32_t> touched;
    for (const LesionPair& pair : pairs) touched.insert(pair.prediction);
    return static_cast<std::int64_t>(touched.size());
}

LesionOverlap lesionOverlap(const StructureView& reference, const StructureView& prediction,
                            LesionConnectivity connectivity) {
    LesionOverlap overlap;
    const IndexBox box = reference.box.unitedWith(prediction.box);
    if (box.empty()) return overlap;
    Lesions a = findLesions(reference, box, connectivity);
    Lesions b = findLesions(prediction, box, connectivity);
    for (const auto& [key, voxels] : sharedVoxels(a, b)) {
        const auto i = static_cast<std::int32_t>(key >> 32);
        const auto j = static_cast<std::int32_t>(key & 0xffffffff);
        const std::int64_t unionVoxels = a.voxels[i] + b.voxels[j] - voxels;
        overlap.pairs.push_back({i, j, voxels, static_cast<double>(voxels) / static_cast<double>(unionVoxels)});
    }
    std::sort(overlap.pairs.begin(), overlap.pairs.end(), [](const LesionPair& x, const LesionPair& y) {
        return x.reference != y.reference ? x.reference < y.reference : x.prediction < y.prediction;
    });
    overlap.referenceVoxels = std::move(a.voxels);
    overlap.predictionVoxels = std::move(b.voxels);
    return overlap;
}

double LesionMatches::precision() const {
    return ratio(static_cast<double>(truePositives), static_cast<double>(truePositives + falsePositives));
}

double LesionMatches::recall() const {
    return ratio(static_cast<double>(truePositives), static_cast<double>(truePositives + falseNegatives));
}

double LesionMatches::f1() const {
    return ratio(2 * static_cast<double>(truePositives),
                 static_cast<double>(2 * truePositives + falsePositives + falseNegatives));
}

double LesionMatches::meanIou() const {
    return ratio(sumOfIou, static_cast<double>(truePositives));
}

double LesionMatches::panopticQuality() const {
    return ratio(sumOfIou, static_cast<double>(truePositives) + 0.5 * static_cast<double>(falsePositives) +
                               0.5 * static_cast<double>(falseNegatives));
}

LesionMatches matchLesions(const LesionOverlap& overlap, double threshold) {
    std::vector<bool> isReferenceTaken(overlap.referenceVoxels.size(), false);
    std::vector<bool> isPredictionTaken(overlap.predictionVoxels.size(), false);
    LesionMatches matches;
    for (const LesionPair& pair : byDescendingIou(overlap, threshold)) {
        if (isReferenceTaken[pair.reference] || isPredictionTaken[pair.prediction]) continue;
        isReferenceTaken[pair.reference] = isPredictionTaken[pair.prediction] = true;
        ++matches.truePositives;
        matches.sumOfIou += pair.iou;
    }
    matches.falsePositives = static_cast<std::int64_t>(overlap.predictionVoxels.size()) - matches.truePositives;
    matches.falseNegatives = static_cast<std::int64_t>(overlap.referenceVoxels.size()) - matches.truePositives;
    return matches;
}

std::int64_t maximumMatches(const LesionOverlap& overlap, double threshold) {
    return Matching(overlap, threshold).size();
}

}  // namespace medseg
