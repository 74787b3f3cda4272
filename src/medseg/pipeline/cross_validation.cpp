#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/pipeline/pipeline.h"
#include "medseg/pipeline/preparation_stage.h"

namespace medseg {
namespace {

void requireFolds(const DataSettings& data, std::int64_t cases) {
    if (data.folds < 2) throw UsageError("a cross-validation needs at least two folds: set data.folds=5");
    if (!data.validationCases.empty())
        throw UsageError("data.validation_cases fixes the validation: leave it empty for a cross-validation");
    if (data.split == "slice" || data.holdOutEvery > 1 || cases < data.folds)
        throw UsageError(
            fmt::format("a cross-validation of {} folds needs as many cases and a split by case; there "
                        "are {} cases",
                        data.folds, cases));
}

void summarise(CrossValidation& result) {
    const auto count = static_cast<double>(result.dice.size());
    for (const double dice : result.dice) result.mean += dice / count;
    for (const double dice : result.dice) result.deviation += (dice - result.mean) * (dice - result.mean) / (count - 1);
    result.deviation = std::sqrt(result.deviation);
}

}  // namespace

CrossValidation Pipeline::trainAllFolds() {
    requireFolds(recipe_.data, preparedCaseCount(recipe_, folders_.cache));
    CrossValidation result;
    auto folds = nlohmann::ordered_json::array();
    for (int fold = 0; fold < recipe_.data.folds; ++fold) {
        logInfo("fold {} of {}", fold + 1, recipe_.data.folds);
        Pipeline one(recipe_);
        one.recipe_.data.fold = fold;
        one.trainingStart_ = trainingStart_;
        const fs::path model = folders_.model / fmt::format("fold_{}", fold);
        const TrainOutcome outcome = one.trainInto(one.recipe_, model, one.fingerprint(Stage::Train));
        result.dice.push_back(outcome.bestDice);
        folds.push_back({{"fold", fold},
                         {"best_dice", outcome.bestDice},
                         {"best_epoch", outcome.bestEpoch},
                         {"epochs", outcome.epochs},
                         {"model", outcome.bestModel.string()}});
    }
    summarise(result);
    result.file = folders_.model / "cross_validation.json";
    const nlohmann::ordered_json json{
        {"folds", folds}, {"mean_dice", result.mean}, {"standard_deviation", result.deviation}};
    writeTextFile(result.file, json.dump(2) + "\n");
    logInfo("cross-validation of {} folds: Dice {:.4f} ± {:.4f}", result.dice.size(), result.mean, result.deviation);
    return result;
}

}  // namespace medseg
