#include "medseg/metrics/overlap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double ratio(std::int64_t numerator, std::int64_t denominator) {
    return denominator == 0 ? kNaN : static_cast<double>(numerator) / static_cast<double>(denominator);
}

std::int64_t valueAt(const std::vector<std::int64_t>& values, int id) {
    return id > 0 && static_cast<std::size_t>(id) < values.size() ? values[id] : 0;
}

void addAt(std::vector<std::int64_t>& values, int id, std::int64_t amount) {
    if (static_cast<std::size_t>(id) >= values.size()) values.resize(id + 1, 0);
    values[id] += amount;
}

std::vector<int> presentIds(const std::vector<std::int64_t>& values) {
    std::vector<int> ids;
    for (std::size_t id = 1; id < values.size(); ++id)
        if (values[id] > 0) ids.push_back(static_cast<int>(id));
    return ids;
}

}  // namespace

IndexBox IndexBox::unitedWith(const IndexBox& other) const {
    if (empty()) return other;
    if (other.empty()) return *this;
    IndexBox united;
    for (int axis = 0; axis < 3; ++axis) {
        united.first[axis] = std::min(first[axis], other.first[axis]);
        united.last[axis] = std::max(last[axis], other.last[axis]);
    }
    return united;
}

double diceScore(const OverlapCounts& counts, BothEmpty convention) {
    const std::int64_t denominator = counts.reference + counts.prediction;
    if (denominator == 0) return convention == BothEmpty::One ? 1 : kNaN;
    return ratio(2 * counts.intersection, denominator);
}

double iouScore(const OverlapCounts& counts, BothEmpty convention) {
    const std::int64_t unionVoxels = counts.reference + counts.prediction - counts.intersection;
    if (unionVoxels == 0) return convention == BothEmpty::One ? 1 : kNaN;
    return ratio(counts.intersection, unionVoxels);
}

double sensitivity(const OverlapCounts& counts) {
    return ratio(counts.truePositives(), counts.reference);
}

double specificity(const OverlapCounts& counts) {
    return ratio(counts.trueNegatives(), counts.total - counts.reference);
}

double precision(const OverlapCounts& counts) {
    return ratio(counts.truePositives(), counts.prediction);
}

double negativePredictiveValue(const OverlapCounts& counts) {
    return ratio(counts.trueNegatives(), counts.total - counts.prediction);
}

double accuracy(const OverlapCounts& counts) {
    return ratio(counts.truePositives() + counts.trueNegatives(), counts.total);
}

double relativeVolumeDifference(const OverlapCounts& counts) {
    return ratio(counts.prediction - counts.reference, counts.reference);
}

double volumetricSimilarity(const OverlapCounts& counts) {
    const std::int64_t sum = counts.reference + counts.prediction;
    return sum == 0 ? kNaN : 1 - ratio(std::abs(counts.reference - counts.prediction), sum);
}

double diceWithEpsilon(const OverlapCounts& counts) {
    return 2 * static_cast<double>(counts.intersection) /
           (static_cast<double>(counts.reference + counts.prediction) + 1e-6);
}

double voxelsToMillilitres(std::int64_t voxels, double voxelVolume) {
    return static_cast<double>(voxels) * voxelVolume / 1000;
}

Confusion::Confusion(std::vector<ConfusionCell> cells, std::vector<IndexBox> referenceBoxes,
                     std::vector<IndexBox> predictionBoxes)
    : cells_(std::move(cells)),
      referenceBoxes_(std::move(referenceBoxes)),
      predictionBoxes_(std::move(predictionBoxes)) {
    std::sort(cells_.begin(), cells_.end(), [](const ConfusionCell& a, const ConfusionCell& b) {
        return a.reference != b.reference ? a.reference < b.reference : a.prediction < b.prediction;
    });
    for (const ConfusionCell& cell : cells_) {
        addAt(referenceVoxels_, cell.reference, cell.voxels);
        addAt(predictionVoxels_, cell.prediction, cell.voxels);
        if (cell.reference == cell.prediction) addAt(sharedVoxels_, cell.reference, cell.voxels);
        total_ += cell.voxels;
    }
}

std::vector<int> Confusion::referenceIds() const {
    return presentIds(referenceVoxels_);
}

std::vector<int> Confusion::predictionIds() const {
    return presentIds(predictionVoxels_);
}

std::vector<int> Confusion::allIds() const {
    const std::vector<int> a = referenceIds();
    const std::vector<int> b = predictionIds();
    std::vector<int> ids;
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(ids));
    return ids;
}

OverlapCounts Confusion::counts(int referenceId, int predictionId) const {
    OverlapCounts counts{valueAt(referenceVoxels_, referenceId), valueAt(predictionVoxels_, predictionId), 0, total_};
    if (referenceId == predictionId) {
        counts.intersection = valueAt(sharedVoxels_, referenceId);
    } else if (referenceId > 0 && predictionId > 0) {
        const auto cell = std::lower_bound(
            cells_.begin(), cells_.end(), std::pair(referenceId, predictionId),
            [](const ConfusionCell& c, const auto& key) { return std::pair(c.reference, c.prediction) < key; });
        if (cell != cells_.end() && cell->reference == referenceId && cell->prediction == predictionId)
            counts.intersection = cell->voxels;
    }
    return counts;
}

OverlapCounts Confusion::pooledCounts() const {
    OverlapCounts pooled;
    for (const int id : allIds()) {
        const OverlapCounts one = counts(id);
        pooled.reference += one.reference;
        pooled.prediction += one.prediction;
        pooled.intersection += one.intersection;
        pooled.total += one.total;
    }
    return pooled;
}

IndexBox Confusion::boxAt(const std::vector<IndexBox>& boxes, int id) {
    return id > 0 && static_cast<std::size_t>(id) < boxes.size() ? boxes[id] : IndexBox{};
}

}  // namespace medseg
