#include "medseg/pipeline/pipeline.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/version.h"
#include "medseg/dataset/phantom_files.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/pipeline/stages_record.h"

namespace medseg {
namespace {

/// The recipe with the folder of its data: that of generated phantoms where it names none.
Recipe withData(Recipe recipe) {
    if (usesPreparedSlices(recipe) || !recipe.data.root.empty()) return recipe;
    if (recipe.phantom.cases == 0)
        throw UsageError("the recipe names no data: set data.root=FOLDER (or phantom.cases to generate some)");
    recipe.data.root = (fs::path(recipe.output) / "phantom").string();
    return recipe;
}

}  // namespace

Pipeline::Pipeline(Recipe recipe)
    : recipe_(withData(std::move(recipe))), folders_(recipe_), family_(familyStages(recipe_, folders_)) {}

void Pipeline::run(std::vector<Stage> stages, bool force) {
    if (stages.empty()) stages = family_->stages();
    createDirectories(folders_.root);
    writeTextFile(folders_.root / "recipe.yaml", recipeToYaml(recipe_));
    for (const Stage stage : stages) {
        if (stage == Stage::Generate && recipe_.phantom.cases == 0) continue;
        if (!family_->has(stage)) {
            logInfo("{}: nothing to do for model.kind {}", stageName(stage), recipe_.model.kind);
            continue;
        }
        if (!force && isUpToDate(stage)) {
            logInfo("{}: up to date", stageName(stage));
            continue;
        }
        logInfo("{}", stageName(stage));
        runStage(stage);
        markDone(stage);
    }
}

void Pipeline::runStage(Stage stage) {
    switch (stage) {
        case Stage::Generate:
            return generate();
        case Stage::Prepare:
            return family_->prepare();
        case Stage::Train:
            return train();
        case Stage::Predict:
            return family_->predict();
        case Stage::Evaluate:
            evaluation_ = family_->evaluate();
            return;
        case Stage::Report:
            return family_->report();
    }
}

std::string Pipeline::fingerprint(Stage stage) const {
    std::string text =
        fmt::format("{} {} seed {} device {}\n", version(), stageName(stage), recipe_.seed, recipe_.device);
    Recipe decisive = recipe_;
    decisive.sam2.mode.clear();  // says which stages run, not what they do
    for (const auto& section : family_->sections(stage)) text += recipeSectionToYaml(decisive, section) + "\n";
    if (stage == Stage::Prepare) text += describeFiles(recipe_.data.root);
    if (stage == Stage::Prepare && preparesVolumes(recipe_)) text += "volumes\n";
    if (stage > Stage::Generate) text += fingerprint(static_cast<Stage>(static_cast<int>(stage) - 1));
    return shortHash(text);
}

bool Pipeline::isUpToDate(Stage stage) const {
    return fs::exists(family_->proof(stage)) &&
           recordedFingerprint(folders_.root / "stages.json", stageName(stage)) == fingerprint(stage);
}

void Pipeline::markDone(Stage stage) const {
    recordFingerprint(folders_.root / "stages.json", stageName(stage), fingerprint(stage));
}

void Pipeline::generate() {
    PhantomSettings settings;
    settings.seed = recipe_.seed;
    settings.cases = recipe_.phantom.cases;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        settings.size[axis] = recipe_.phantom.size[axis];
        settings.spacing[axis] = recipe_.phantom.spacing;
    }
    settings.structures = recipe_.data.structures;
    writePhantom(settings, PhantomLayout::TotalSegmentator, recipe_.data.root);
}

void Pipeline::train() {
    trainInto(family_->trainingRecipe(), folders_.model, fingerprint(Stage::Train));
}

void Pipeline::joinTraining(bool force) {
    if (!force && isUpToDate(Stage::Train)) return;
    loadNetworkModule().train(trainRequest(family_->trainingRecipe(), folders_.model));
}

TrainRequest Pipeline::trainRequest(const Recipe& recipe, const fs::path& model) const {
    TrainRequest request;
    request.recipe = recipe;
    request.cache = family_->trainingData();
    request.output = model;
    const bool inModel = !resumeFile_.empty() && !fs::exists(resumeFile_) && fs::exists(model / resumeFile_);
    request.resumeFrom = inModel ? model / resumeFile_ : resumeFile_;
    return request;
}

TrainOutcome Pipeline::trainInto(const Recipe& recipe, const fs::path& model, const std::string& fingerprint) {
    TrainRequest request = trainRequest(recipe, model);
    // A latest.pth of the same fingerprint is a run that was cut off; of another one, the beginning of something else.
    const fs::path mark = model / "fingerprint.txt";
    const bool sameRecipe = fs::exists(mark) && readTextFile(mark) == fingerprint;
    request.resume =
        trainingStart_ == TrainingStart::Continue || (trainingStart_ == TrainingStart::Automatic && sameRecipe);
    createDirectories(model);
    writeTextFile(mark, fingerprint);
    const TrainOutcome outcome = loadNetworkModule().train(request);
    const std::string best = outcome.bestEpoch == 0 ? "no validation"
                                                    : fmt::format("best validation Dice {:.4f} in epoch {}",
                                                                  outcome.bestDice, outcome.bestEpoch);
    logInfo("trained {} epochs, {}, {:.1f} s an epoch, network idle {:.1f} %: {}", outcome.epochs, best,
            outcome.secondsPerEpoch, 100 * outcome.idleShare, outcome.bestModel.string());
    return outcome;
}

}  // namespace medseg
