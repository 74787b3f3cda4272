#include "medseg/train/threshold_search.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/progress.h"
#include "medseg/dataset/split.h"
#include "medseg/infer/model_agreement.h"
#include "medseg/infer/slice_network.h"
#include "medseg/nn/device.h"
#include "medseg/nn/threshold_file.h"
#include "medseg/train/slice_tensors.h"

namespace medseg {
namespace {

constexpr int kCandidates = 19;

double candidate(int index) {
    return 0.05 * (index + 1);
}

/// 2 I / (P + R) of one row of countOverlap(); NaN without reference.
double diceOf(const torch::Tensor& counts, std::int64_t structure) {
    const auto* c = counts.data_ptr<std::int64_t>() + 3 * structure;
    if (c[2] == 0) return std::numeric_limits<double>::quiet_NaN();
    return 2.0 * static_cast<double>(c[0]) / static_cast<double>(c[1] + c[2]);
}

StructureThreshold bestThreshold(const std::vector<torch::Tensor>& counts, const torch::Tensor& countsAtDefault,
                                 std::int64_t structure, double defaultThreshold) {
    StructureThreshold best;
    best.threshold = defaultThreshold;
    best.dice = best.diceAtDefault = diceOf(countsAtDefault, structure);
    if (std::isnan(best.dice)) return best;
    const auto distance = [&](double threshold) { return std::abs(threshold - defaultThreshold); };
    for (int i = 0; i < kCandidates; ++i) {
        const double dice = diceOf(counts[static_cast<std::size_t>(i)], structure);
        const bool nearer = dice == best.dice && distance(candidate(i)) < distance(best.threshold);
        if (dice > best.dice || nearer) {
            best.dice = dice;
            best.threshold = candidate(i);
        }
    }
    return best;
}

double meanOf(const std::vector<StructureThreshold>& found, double StructureThreshold::*value) {
    double sum = 0;
    int count = 0;
    for (const auto& item : found)
        if (!std::isnan(item.*value)) {
            sum += item.*value;
            ++count;
        }
    return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

ThresholdOutcome searchThresholds(const ThresholdRequest& request) {
    const LoadedModel model = loadModel(request.model);
    requireSliceNetwork(model, "a search for thresholds");
    if (outputKindOf(model.recipe.model) != OutputKind::Sigmoid)
        throw UsageError(
            fmt::format("{}: softmax outputs need no thresholds: the most probable wins", model.file.string()));
    const SliceCache cache(request.cache);
    requireSameStructures(model.labels, cache);
    const auto slices = splitSlices(cache, model.recipe.data, model.recipe.seed).validation;
    if (slices.empty()) throw DataError(request.cache.string(), "no validation slices: set data.validation_fraction");

    const c10::InferenceMode inference;
    LoaderSettings settings;
    settings.batchSize = model.recipe.predict.batchSize;
    settings.neighbours = model.recipe.model.neighbours;
    settings.shuffle = false;
    SliceLoader loader(cache, slices, settings);
    SliceNetwork network(model, deviceFromName(model.recipe.device), Precision::Fp32, settings.batchSize);
    const auto zero = torch::zeros({static_cast<std::int64_t>(model.labels.size()), 3}, torch::kLong);
    std::vector<torch::Tensor> counts;
    for (int i = 0; i < kCandidates; ++i) counts.push_back(zero.clone());
    torch::Tensor countsAtDefault = zero.clone();
    Progress progress("searching", static_cast<std::int64_t>(slices.size()), "slices");
    loader.startEpoch(0);
    while (auto batch = loader.next()) {
        const auto images = imageTensor(*batch, cache, model.recipe.model.coordinates).permute({0, 2, 3, 1});
        const auto logits = network.logits(images.contiguous()).permute({0, 3, 1, 2});
        const auto labels = labelTensor(*batch);
        for (int i = 0; i < kCandidates; ++i)
            countOverlap(logits, labels, OutputKind::Sigmoid, candidate(i), counts[static_cast<std::size_t>(i)]);
        countOverlap(logits, labels, OutputKind::Sigmoid, model.recipe.predict.threshold, countsAtDefault);
        progress.advance(batch->count);
        throwIfInterrupted();
    }
    progress.finish();

    std::vector<StructureThreshold> found;
    for (std::int64_t s = 0; s < zero.size(0); ++s)
        found.push_back(bestThreshold(counts, countsAtDefault, s, model.recipe.predict.threshold));
    writeThresholds(model.file, model.labels, found);
    return {thresholdFile(model.file), static_cast<int>(slices.size()),
            meanOf(found, &StructureThreshold::diceAtDefault), meanOf(found, &StructureThreshold::dice)};
}

}  // namespace medseg
