#include "medseg/pipeline/unet_stages.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/held_out_slices.h"
#include "medseg/pipeline/measured_evaluation.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/pipeline/run_report.h"

namespace medseg {

std::vector<Stage> UNetStages::stages() const {
    if (recipe_.prepare.form == "slices") return FamilyStages::stages();
    logInfo("prepare.form {}: prepared for another trainer, so that training and later stages are left out",
            recipe_.prepare.form);
    return {Stage::Generate, Stage::Prepare};
}

void UNetStages::prepare() const {
    prepareCases(recipe_, folders_.cache);
}

Recipe UNetStages::trainingRecipe() const {
    if (recipe_.prepare.form != "slices")
        throw UsageError(
            fmt::format("prepare.form {}: the U-Net trains on prepare.form: slices", recipe_.prepare.form));
    return recipe_;
}

std::vector<UNetStages::MeasuredCase> UNetStages::measuredCases(const Dataset& dataset) const {
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

void UNetStages::predict() const {
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

void UNetStages::writeMeasured(const char* side, const std::string& id, const LabelMap& labels,
                               const std::vector<std::int64_t>& slices) const {
    const fs::path file = folders_.measured / side / (id + ".nii.gz");
    if (slices.empty())
        writeLabelMap(file, labels);
    else
        writeLabelMap(file, stackSlices(labels, slices, sliceAxisFromName(recipe_.prepare.axis)));
}

std::optional<EvaluationSummary> UNetStages::evaluate() const {
    return evaluateMeasured(recipe_.evaluate, folders_);
}

void UNetStages::report() const {
    const Dataset dataset = discoverDataset(recipe_.data);
    std::vector<Case> cases;
    for (const auto& measured : measuredCases(dataset)) cases.push_back(measured.item);
    writeRunReport(recipe_, folders_, dataset, cases);
}

}  // namespace medseg
