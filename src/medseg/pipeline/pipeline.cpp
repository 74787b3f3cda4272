#include "medseg/pipeline/pipeline.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/version.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/phantom_files.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/held_out_slices.h"
#include "medseg/pipeline/medsam_stages.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/pipeline/reconstruction_stages.h"
#include "medseg/pipeline/run_report.h"
#include "medseg/pipeline/sam2_stages.h"
#include "medseg/pipeline/stages_record.h"
#include "medseg/report/evaluation_charts.h"

namespace medseg {
namespace {

constexpr std::array<Stage, 6> kAllStages{Stage::Generate, Stage::Prepare,  Stage::Train,
                                          Stage::Predict,  Stage::Evaluate, Stage::Report};

/// Recipe sections that decide a stage's result, besides the stages before it.
std::vector<std::string> sectionsOf(Stage stage, const Recipe& recipe) {
    const bool sam = recipe.model.kind == "sam";
    if (sam && stage == Stage::Prepare) return {"data", "prepare", "prepare_medsam", "sam"};
    if (sam && stage == Stage::Train) return {"data", "model", "sam", "train"};
    if (recipe.model.kind == "sam2") {
        if (stage == Stage::Train) return {"data", "model", "sam2", "train"};
        if (stage == Stage::Predict) return {"propagate", "predict"};
    }
    switch (stage) {
        case Stage::Generate:
            return {"phantom"};
        case Stage::Prepare:
            return {"data", "prepare", "prepare_medsam", "prepare_sam3d", "prepare_nnunet"};
        case Stage::Train:
            return {"data", "model", "train", "augmentation", "sam3d", "lora", "loss"};
        case Stage::Predict:
            return {"predict", "sampling"};
        case Stage::Evaluate:
            return {"evaluate"};
        case Stage::Report:
            return {"report"};
    }
    return {};
}

/// The file without which the stage cannot be done, whatever stages.json says.
fs::path proofOf(Stage stage, const RunFolders& folders, const Recipe& recipe) {
    switch (stage) {
        case Stage::Generate:
            return recipe.data.root;
        case Stage::Prepare:
            return preparedManifest(recipe, folders.cache);
        case Stage::Train:
            if (recipe.model.kind != "sam3d") return folders.model / "latest.pth";
            return folders.model / (recipe.sam3d.stage == "structure" ? "latest.pt" : "latent/latest.pt");
        case Stage::Predict:
            return folders.predictions;
        case Stage::Evaluate:
            return folders.evaluation / (recipe.model.kind == "sam3d" ? "metrics.json" : "summary.json");
        case Stage::Report:
            return folders.report;
    }
    return {};
}

/// True for recipes that train SAM 3D on the files prepared for it.
bool reconstructs(const Recipe& recipe) {
    return recipe.model.kind == "sam3d" && (recipe.prepare.form == "sam3d" || !recipe.sam3d.slices.empty());
}

/// All stages; of a form that no network of medseg trains on, those up to preparation.
std::vector<Stage> stagesOf(const Recipe& recipe) {
    // Prompted networks are measured from the boxes of the reference: prediction and report are part of that.
    if (recipe.model.kind == "sam") return {Stage::Generate, Stage::Prepare, Stage::Train, Stage::Evaluate};
    if (recipe.model.kind == "sam2") return Sam2Stages::stagesOf(recipe.sam2.mode);
    if (recipe.prepare.form == "slices" || reconstructs(recipe)) return {kAllStages.begin(), kAllStages.end()};
    logInfo("prepare.form {}: prepared for another trainer, so that training and later stages are left out",
            recipe.prepare.form);
    return {Stage::Generate, Stage::Prepare};
}

}  // namespace

const char* stageName(Stage stage) {
    constexpr std::array<const char*, 6> names{"generate", "prepare", "train", "predict", "evaluate", "report"};
    return names[static_cast<std::size_t>(stage)];
}

Stage stageFromName(const std::string& name) {
    for (const Stage stage : kAllStages)
        if (name == stageName(stage)) return stage;
    throw UsageError(
        fmt::format("stage \"{}\" is unknown: use generate, prepare, train, predict, evaluate or report", name));
}

RunFolders::RunFolders(const Recipe& recipe)
    : root(recipe.output),
      cache(preparedFolder(recipe)),
      model(root / "model"),
      predictions(root / "predictions"),
      measured(root / "measured"),
      evaluation(root / "evaluation"),
      report(root / "report") {}

Pipeline::Pipeline(Recipe recipe) : recipe_(std::move(recipe)), folders_(recipe_) {
    if (reconstructs(recipe_) && !recipe_.sam3d.slices.empty()) {
        folders_.cache = recipe_.sam3d.slices;
        return;
    }
    if (!recipe_.data.root.empty()) return;
    if (recipe_.phantom.cases == 0)
        throw UsageError("the recipe names no data: set data.root=FOLDER (or phantom.cases to generate some)");
    recipe_.data.root = (folders_.root / "phantom").string();
}

void Pipeline::run(std::vector<Stage> stages, bool force) {
    if (stages.empty()) stages = stagesOf(recipe_);
    createDirectories(folders_.root);
    writeTextFile(folders_.root / "recipe.yaml", recipeToYaml(recipe_));
    for (const Stage stage : stages) {
        if (stage == Stage::Generate && recipe_.phantom.cases == 0) continue;
        const bool prepared = reconstructs(recipe_) && !recipe_.sam3d.slices.empty();
        if (prepared && (stage == Stage::Generate || stage == Stage::Prepare)) continue;
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
            return prepare();
        case Stage::Train:
            return train();
        case Stage::Predict:
            return predict();
        case Stage::Evaluate:
            return evaluate();
        case Stage::Report:
            return report();
    }
}

std::string Pipeline::fingerprint(Stage stage) const {
    std::string text =
        fmt::format("{} {} seed {} device {}\n", version(), stageName(stage), recipe_.seed, recipe_.device);
    Recipe decisive = recipe_;
    decisive.sam2.mode.clear();  // says which stages run, not what they do
    for (const auto& section : sectionsOf(stage, recipe_)) text += recipeSectionToYaml(decisive, section) + "\n";
    if (stage == Stage::Prepare) text += describeFiles(recipe_.data.root);
    if (stage == Stage::Prepare && preparesVolumes(recipe_)) text += "volumes\n";
    if (stage > Stage::Generate) text += fingerprint(static_cast<Stage>(static_cast<int>(stage) - 1));
    return shortHash(text);
}

bool Pipeline::isUpToDate(Stage stage) const {
    return fs::exists(proofOf(stage, folders_, recipe_)) &&
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

void Pipeline::prepare() {
    if (isSam()) return prepareMedsamSlices(recipe_, folders_.cache);
    if (isSam2()) return Sam2Stages(recipe_, folders_).prepare();
    prepareCases(recipe_, folders_.cache);
}

void Pipeline::train() {
    trainInto(trainingRecipe(), folders_.model, fingerprint(Stage::Train));
}

void Pipeline::joinTraining(bool force) {
    if (!force && isUpToDate(Stage::Train)) return;
    loadNetworkModule().train(trainRequest(trainingRecipe(), folders_.model));
}

Recipe Pipeline::trainingRecipe() const {
    if (isSam2()) return Sam2Stages(recipe_, folders_).trainingRecipe();
    if (recipe_.model.kind == "sam3d" && !reconstructs(recipe_))
        throw UsageError("model.kind sam3d trains on prepare.form: sam3d");
    if (!isSam() && recipe_.prepare.form != "slices" && !reconstructs(recipe_))
        throw UsageError(
            fmt::format("prepare.form {}: the U-Net trains on prepare.form: slices", recipe_.prepare.form));
    return recipe_;
}

TrainRequest Pipeline::trainRequest(const Recipe& recipe, const fs::path& model) const {
    TrainRequest request;
    request.recipe = recipe;
    request.cache = isSam() ? promptSliceFolder(recipe, folders_.cache) : folders_.cache;
    request.output = model;
    request.resumeFrom = resumeFile_;
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
    logInfo("trained {} epochs, best validation Dice {:.4f} in epoch {}, {:.1f} s an epoch, network idle {:.1f} %: {}",
            outcome.epochs, outcome.bestDice, outcome.bestEpoch, outcome.secondsPerEpoch, 100 * outcome.idleShare,
            outcome.bestModel.string());
    return outcome;
}

std::vector<Pipeline::MeasuredCase> Pipeline::measuredCases(const Dataset& dataset) const {
    std::vector<MeasuredCase> measured;
    for (const HeldOutCase& held : heldOutCases(recipe_, folders_.cache)) {
        const auto found = std::find_if(dataset.cases.begin(), dataset.cases.end(),
                                        [&](const Case& item) { return item.id == held.id; });
        if (found == dataset.cases.end())
            throw DataError(held.id,
                            "this case was prepared and is gone from the dataset: run the prepare stage again");
        measured.push_back({*found, held.slices});
    }
    return measured;
}

void Pipeline::predict() {
    if (isSam2()) return Sam2Stages(recipe_, folders_).predict();
    if (reconstructs(recipe_)) return predictReconstructions(recipe_, folders_);
    const Dataset dataset = discoverDataset(recipe_.data);
    PredictRequest request;
    request.models = {folders_.model};
    request.output = folders_.predictions;
    request.outputIsFolder = true;
    request.separate = recipe_.predict.separate;
    request.probabilities = recipe_.predict.probabilities;
    request.segmenter.device = recipe_.device;
    request.segmenter.batchSize = recipe_.predict.batchSize;
    request.segmenter.threshold = recipe_.predict.threshold;
    if (recipe_.predict.searchThresholds) {
        const ThresholdOutcome found = loadNetworkModule().searchThresholds({folders_.model, folders_.cache});
        logInfo("thresholds of {} validation slices: mean Dice {:.4f} -> {:.4f}", found.slices, found.diceBefore,
                found.diceAfter);
        request.segmenter.searchedThresholds = true;
    }
    request.segmenter.precision = recipe_.predict.precision;
    request.segmenter.mirror = recipe_.predict.mirror;
    request.segmenter.overlap = recipe_.predict.overlap;
    request.uncertainty = recipe_.predict.uncertainty;
    request.crf = recipe_.predict.crf;
    request.cleanup = cleanupFrom(recipe_.predict);
    const auto cases = measuredCases(dataset);
    for (const auto& measured : cases) request.inputs.push_back(measured.item.image);
    const PredictOutcome outcome = loadNetworkModule().predict(request);
    logInfo("{} volumes, {} slices in {:.1f} s ({:.1f} s in the network): {}", outcome.volumes, outcome.slices,
            outcome.seconds, outcome.networkSeconds, folders_.predictions.string());
    // Where there is one grid of slices to measure on, reference and prediction are both cut to it.
    fs::remove_all(folders_.measured);
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const auto& [item, slices] = cases[i];
        LabelMap prediction = readLabelMap(outcome.labelFiles[i]);
        const LabelLayers layers = readCaseLabels(dataset, item, prediction.geometry());
        if (layers.layers.size() > 1)
            logWarning("{}: structures overlap: measured on those of the first layer only", item.id);
        writeMeasured("reference", item.id, layers.layers.front(), slices);
        writeMeasured("prediction", item.id, prediction, slices);
    }
}

void Pipeline::writeMeasured(const char* side, const std::string& id, const LabelMap& labels,
                             const std::vector<std::int64_t>& slices) const {
    const fs::path file = folders_.measured / side / (id + ".nii.gz");
    if (slices.empty())
        writeLabelMap(file, labels);
    else
        writeLabelMap(file, stackSlices(labels, slices, sliceAxisFromName(recipe_.prepare.axis)));
}

void Pipeline::evaluate() {
    if (isSam()) {
        evaluateMedsam(recipe_, folders_.cache, folders_.model, folders_.evaluation);
        return;
    }
    if (reconstructs(recipe_)) return evaluateReconstructions(recipe_, folders_);
    EvaluationRequest request;
    request.reference = folders_.measured / "reference";
    request.prediction = folders_.measured / "prediction";
    request.output = folders_.evaluation;
    request.layout = CaseLayout::Cases;
    request.metrics = recipe_.evaluate.metrics;
    request.iouThresholds = recipe_.evaluate.iouThresholds;
    request.nsdTolerance = recipe_.evaluate.nsdTolerance;
    request.minimumVoxels = recipe_.evaluate.minimumVoxels;
    evaluation_ = medseg::evaluate(request);
    writeEvaluationCharts(*evaluation_, folders_.evaluation);
    if (isSam2()) Sam2Stages(recipe_, folders_).evaluateSlices();
}

void Pipeline::report() {
    if (isSam2()) {
        const Sam2Stages stages(recipe_, folders_);
        return writeRunReport(recipe_, folders_, stages.dataset(), stages.measuredCases());
    }
    if (reconstructs(recipe_)) return reportReconstructions(recipe_, folders_);
    const Dataset dataset = discoverDataset(recipe_.data);
    std::vector<Case> cases;
    for (const auto& measured : measuredCases(dataset)) cases.push_back(measured.item);
    writeRunReport(recipe_, folders_, dataset, cases);
}

}  // namespace medseg
