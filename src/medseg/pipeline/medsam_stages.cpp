#include "medseg/pipeline/medsam_stages.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/prompt_slices.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/form_preparation.h"

namespace medseg {
namespace {

/// The recipe with what the network needs: slices as .npy, of the size of its input.
Recipe preparationOf(const Recipe& recipe) {
    if (recipe.prepare.form != "medsam" && recipe.prepare.form != "slices")
        throw UsageError(
            fmt::format("prepare.form {}: networks of the SAM family train on medsam", recipe.prepare.form));
    Recipe complete = recipe;
    complete.prepare.form = "medsam";
    complete.prepareMedsam.npy = true;
    const int size = samInputSize(recipe.sam);
    if (complete.prepareMedsam.imageSize == std::array<int, 2>{0, 0}) complete.prepareMedsam.imageSize = {size, size};
    return complete;
}

/// The .npz files of the folder and of the folders in it: the original scripts keep one a prefix (`CT_Abd`).
std::vector<fs::path> npzCases(const fs::path& folder) {
    std::vector<fs::path> cases;
    if (fs::is_directory(folder))
        for (const auto& entry : fs::recursive_directory_iterator(folder))
            if (entry.path().extension() == ".npz") cases.push_back(entry.path());
    std::sort(cases.begin(), cases.end());
    return cases;
}

/// Case -> slices (empty: all) that split.json kept from training.
std::map<std::string, std::vector<std::int64_t>> heldOut(const fs::path& split) {
    const auto json = nlohmann::json::parse(readTextFile(split), nullptr, false);
    if (!json.is_object() || !json.contains("validation")) throw DataError(split.string(), "is no split");
    std::map<std::string, std::vector<std::int64_t>> held;
    for (const auto& item : json.at("validation")) {
        const std::string name = item.get<std::string>();
        if (json.value("by", "case") == "case") {
            held[name];
            continue;
        }
        const auto dash = name.rfind('-');
        std::int64_t number = 0;
        std::from_chars(name.data() + dash + 1, name.data() + name.size(), number);
        held[name.substr(0, dash)].push_back(number);
    }
    return held;
}

}  // namespace

std::vector<Stage> MedsamStages::stages() const {
    return {Stage::Generate, Stage::Prepare, Stage::Train, Stage::Evaluate};
}

bool MedsamStages::has(Stage stage) const {
    return stage != Stage::Predict && stage != Stage::Report;
}

std::vector<std::string> MedsamStages::sections(Stage stage) const {
    if (stage == Stage::Prepare) return {"data", "prepare", "prepare_medsam", "sam"};
    if (stage == Stage::Train) return {"data", "model", "sam", "lora", "train"};
    return FamilyStages::sections(stage);
}

fs::path MedsamStages::trainingData() const {
    return PromptSliceFolder::isAt(recipe_.data.root) ? fs::path(recipe_.data.root) : folders_.cache;
}

void MedsamStages::prepare() const {
    if (PromptSliceFolder::isAt(recipe_.data.root)) {
        logInfo("{}: holds prepared slices", recipe_.data.root);
        return;
    }
    const FormOutcome outcome = prepareForm(preparationOf(recipe_), folders_.cache);
    logInfo("{} cases prepared, {} reused, {} files in {}", outcome.prepared, outcome.reused, outcome.files,
            folders_.cache.string());
    outcome.throwIfFailed();
}

std::optional<EvaluationSummary> MedsamStages::evaluate() const {
    const fs::path folder = trainingData();
    PromptedEvaluationRequest request;
    request.model = folders_.model;
    request.name = recipe_.name;
    request.output = folders_.evaluation;
    request.device = recipe_.device;
    request.cases = npzCases(folder / "npz_test");
    if (request.cases.empty()) {
        request.cases = npzCases(folder / "npz_train");
        request.slices = heldOut(folders_.model / "split.json");
    }
    if (request.cases.empty())
        throw DataError(folder.string(),
                        "holds no npz_test and npz_train to measure on: use `medseg evaluate --model`");
    const PromptedEvaluation result = loadNetworkModule().evaluatePrompted(request);
    logInfo("DSC {:.1f}, MIOU {:.1f}, {:.2f} slices a second (filled boxes: DSC {:.1f}): {}", 100 * result.overall.dice,
            100 * result.overall.iou, result.overall.fps, 100 * result.overall.boxDice,
            (folders_.evaluation / "result.md").string());
    return std::nullopt;
}

}  // namespace medseg
