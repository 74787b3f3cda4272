#include "medseg/pipeline/medsam_stages.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/prompt_slices.h"
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

fs::path promptSliceFolder(const Recipe& recipe, const fs::path& cache) {
    return PromptSliceFolder::isAt(recipe.data.root) ? fs::path(recipe.data.root) : cache;
}

void prepareMedsamSlices(const Recipe& recipe, const fs::path& cache) {
    if (PromptSliceFolder::isAt(recipe.data.root)) {
        logInfo("{}: holds prepared slices", recipe.data.root);
        return;
    }
    const FormOutcome outcome = prepareForm(preparationOf(recipe), cache);
    logInfo("{} cases prepared, {} reused, {} files in {}", outcome.prepared, outcome.reused, outcome.files,
            cache.string());
    outcome.throwIfFailed();
}

PromptedEvaluation evaluateMedsam(const Recipe& recipe, const fs::path& cache, const fs::path& model,
                                  const fs::path& output) {
    const fs::path folder = promptSliceFolder(recipe, cache);
    PromptedEvaluationRequest request;
    request.model = model;
    request.name = recipe.name;
    request.output = output;
    request.device = recipe.device;
    request.cases = npzCases(folder / "npz_test");
    if (request.cases.empty()) {
        request.cases = npzCases(folder / "npz_train");
        request.slices = heldOut(model / "split.json");
    }
    if (request.cases.empty())
        throw DataError(folder.string(),
                        "holds no npz_test and npz_train to measure on: use `medseg evaluate --model`");
    PromptedEvaluation result = loadNetworkModule().evaluatePrompted(request);
    logInfo("DSC {:.1f}, MIOU {:.1f}, {:.2f} slices a second (filled boxes: DSC {:.1f}): {}", 100 * result.overall.dice,
            100 * result.overall.iou, result.overall.fps, 100 * result.overall.boxDice,
            (output / "result.md").string());
    return result;
}

}  // namespace medseg
