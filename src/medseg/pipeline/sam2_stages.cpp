#include "medseg/pipeline/sam2_stages.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/form_cases.h"
#include "medseg/dataset/form_settings.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/dataset/prompt_slices.h"
#include "medseg/dataset/split.h"
#include "medseg/io/image_file.h"
#include "medseg/metrics/slice_dice.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/measured_evaluation.h"
#include "medseg/pipeline/run_report.h"

namespace medseg {
namespace {

Volume<std::uint8_t> asBytes(const LabelMap& labels, const std::string& name) {
    Volume<std::uint8_t> bytes(labels.geometry());
    labels.visit([&](const auto& voxels) {
        for (std::int64_t i = 0; i < voxels.voxelCount(); ++i) {
            if (voxels.data()[i] > 255) throw DataError(name, "more than 255 structures do not fit this form");
            bytes.data()[i] = static_cast<std::uint8_t>(voxels.data()[i]);
        }
    });
    return bytes;
}

bool splitsBySlice(const DataSettings& data, std::size_t cases) {
    return data.split == "slice" || (data.split == "auto" && cases == 1);
}

std::vector<std::string> idsOf(const Dataset& dataset) {
    std::vector<std::string> ids;
    for (const Case& item : dataset.cases) ids.push_back(item.id);
    return ids;
}

/// The listed slices across the third axis, stacked; all of them for an empty list.
LabelMap cut(const LabelMap& labels, const std::vector<std::int64_t>& slices) {
    Volume<std::uint8_t> all = asBytes(labels, "labels");
    if (slices.empty()) return LabelMap(std::move(all), labels.table());
    const auto first = static_cast<double>(slices.front());
    const double step = slices.size() > 1 ? static_cast<double>(slices[1]) - first : 1;
    Affine affine = all.geometry().affine();
    const Vec3 origin = all.geometry().voxelToWorld({0, 0, first});
    for (std::size_t row = 0; row < 3; ++row) {
        affine[row][2] *= step;
        affine[row][3] = origin[row];
    }
    Volume<std::uint8_t> some(Geometry({all.nx(), all.ny(), static_cast<std::int64_t>(slices.size())}, affine));
    for (std::size_t i = 0; i < slices.size(); ++i)
        std::copy_n(all.slice(slices[i]).data, all.nx() * all.ny(), some.slice(static_cast<std::int64_t>(i)).data);
    return LabelMap(std::move(some), labels.table());
}

}  // namespace

std::vector<Stage> Sam2Stages::stages() const {
    if (recipe_.sam2.mode == "train") return {Stage::Generate, Stage::Prepare, Stage::Train};
    if (recipe_.sam2.mode == "infer")
        return {Stage::Generate, Stage::Prepare, Stage::Predict, Stage::Evaluate, Stage::Report};
    return FamilyStages::stages();
}

std::vector<std::string> Sam2Stages::sections(Stage stage) const {
    if (stage == Stage::Train) return {"data", "model", "sam2", "lora", "train"};
    if (stage == Stage::Predict) return {"propagate", "predict"};
    return FamilyStages::sections(stage);
}

MedsamSettings Sam2Stages::preparation() const {
    MedsamSettings settings = medsamSettingsFrom("medsam2", recipe_.prepareMedsam, {});
    settings.npy = true;
    // Who validates and tests is for data.split to say.
    settings.trainCases = 0;
    return settings;
}

Dataset Sam2Stages::dataset() const {
    const FormCases found = findFormCases(recipe_.data);
    if (found.pairs.empty()) throw DataError(recipe_.data.root, "no image with labels in it");
    const bool named = found.reader.readsMasks() || fs::exists(fs::path(recipe_.data.root) / "dataset.json") ||
                       !readImageHeader(found.pairs.front().label).labels.empty();
    if (named) return discoverDataset(recipe_.data);
    if (recipe_.data.structures.empty())
        throw UsageError("data.structures: name the values 1, 2, ... of the label files in order");
    Dataset dataset;
    dataset.root = recipe_.data.root;
    dataset.layout = Layout::Pairs;
    dataset.labels = LabelTable::fromNames(recipe_.data.structures);
    for (const ImageLabelPair& pair : found.pairs) dataset.cases.push_back({pair.id, pair.image, pair.label, {}});
    for (int value = 0; value <= static_cast<int>(dataset.labels.size()); ++value)
        dataset.outputOfValue.push_back(value);
    return dataset;
}

void Sam2Stages::writeLabels(const Dataset& dataset, const Case& item, const MedsamLabelRules& rules) const {
    const LabelLayers layers = readCaseLabels(dataset, item, readImageHeader(item.image).geometry);
    if (layers.layers.size() > 1) logWarning("{}: structures overlap: those of the first layer are used", item.id);
    Volume<std::uint8_t> labels = asBytes(layers.layers.front(), item.id);
    Volume<std::uint8_t> cleaned = labels.clone();
    cleanMedsamLabels(cleaned, rules);
    writeLabelMap(labelFile(item.id), LabelMap(std::move(labels), dataset.labels));
    writeLabelMap(promptFile(item.id), LabelMap(std::move(cleaned), dataset.labels));
}

void Sam2Stages::prepare() const {
    const Dataset cases = dataset();
    const MedsamSettings settings = preparation();
    createDirectories(folders_.cache / "labels");
    createDirectories(folders_.cache / "prompts");
    const std::vector<std::string> problems = forEachCase(
        "labels", cases.cases.size(), [&](std::size_t i) { writeLabels(cases, cases.cases[i], settings.labels); });
    std::vector<ImageLabelPair> pairs;
    std::vector<std::string> failures;
    for (std::size_t i = 0; i < problems.size(); ++i) {
        const Case& item = cases.cases[i];
        if (problems[i].empty())
            pairs.push_back({item.id, item.image, labelFile(item.id)});
        else
            failures.push_back(problems[i]);
    }
    const CasePipelineResult result =
        runCasePipeline(medsamForm(settings), medsamCases(pairs, settings), folders_.cache);
    logInfo("{} cases prepared, {} reused in {}", result.prepared, result.reused, folders_.cache.string());
    for (const CaseFailure& failure : result.failures) failures.push_back(failure.message);
    for (const std::string& failure : failures) logWarning("{}", failure);
    if (!failures.empty())
        throw WorkError(
            fmt::format("{} of {} cases could not be prepared (listed above)", failures.size(), cases.cases.size()));
}

Recipe Sam2Stages::trainingRecipe() const {
    Recipe recipe = recipe_;
    const Dataset cases = dataset();
    recipe.data.structures.clear();
    for (const Label& label : cases.labels.labels()) recipe.data.structures.push_back(label.name);
    if (splitsBySlice(recipe_.data, cases.cases.size())) return recipe;
    const CaseSplit split = splitCases(idsOf(cases), recipe_.data, recipe_.seed);
    const MedsamSettings settings = preparation();
    const std::string prefix = medsamPrefix(settings);
    const fs::path volumes = folders_.cache / medsamVolumeFolder(settings, true);
    // Slices are called as their case with the form's prefix; a case without any label has none.
    const auto withSlices = [&](const std::vector<std::string>& ids) {
        std::vector<std::string> names;
        for (const std::string& id : ids)
            if (fs::exists(volumes / (prefix + id + ".npz"))) names.push_back(prefix + id);
        return names;
    };
    recipe.data.validationCases = withSlices(split.validation);
    recipe.data.testCases = withSlices(split.test);
    if (recipe.data.validationCases.empty()) recipe.data.validationFraction = 0;
    if (recipe.data.testCases.empty()) recipe.data.testFraction = 0;
    return recipe;
}

std::vector<Sam2Stages::Measured> Sam2Stages::measuredSlices(const Dataset& dataset) const {
    const std::string prefix = medsamPrefix(preparation());
    const PromptSliceFolder folder(folders_.cache);
    const PromptSliceSplit split = splitPromptSlices(folder, recipe_.data, recipe_.seed);
    std::map<std::string, std::vector<std::int64_t>> numbers;
    for (const std::size_t i : split.validation)
        numbers[folder.slices()[i].caseId].push_back(folder.slices()[i].number);
    std::vector<Measured> all;
    for (const Case& item : dataset.cases) {
        const auto found = numbers.find(prefix + item.id);
        if (found == numbers.end()) continue;
        // The slice files are numbered among the kept slices.
        Volume<std::uint8_t> labels = asBytes(readLabelMap(promptFile(item.id)), item.id);
        const std::vector<std::int64_t> kept = labelledSlices(labels);
        Measured measured{item, {}};
        for (const std::int64_t number : found->second)
            measured.slices.push_back(kept.at(static_cast<std::size_t>(number)));
        all.push_back(std::move(measured));
    }
    return all;
}

std::vector<Sam2Stages::Measured> Sam2Stages::measured(const Dataset& dataset) const {
    std::vector<Measured> all;
    if (splitsBySlice(recipe_.data, dataset.cases.size())) {
        all = measuredSlices(dataset);
    } else {
        const CaseSplit split = splitCases(idsOf(dataset), recipe_.data, recipe_.seed);
        const auto& held = split.test.empty() ? split.validation : split.test;
        for (const Case& item : dataset.cases)
            if (std::find(held.begin(), held.end(), item.id) != held.end()) all.push_back({item, {}});
    }
    if (all.empty()) throw DataError("no case is held out to measure on: set data.validation_fraction");
    return all;
}

void Sam2Stages::predict() const {
    const std::vector<Measured> cases = measured(dataset());
    PromptedRequest request;
    const bool trained = fs::exists(folders_.model / "best.pth") || fs::exists(folders_.model / "latest.pth");
    if (!trained && recipe_.sam2.checkpoint.empty())
        throw UsageError("nothing to predict with: train first, or set sam2.checkpoint");
    request.model = trained ? folders_.model : fs::path(recipe_.sam2.checkpoint);
    for (const Measured& item : cases) request.inputs.push_back(item.item.image);
    request.output = folders_.predictions;
    request.outputIsFolder = true;
    request.device = recipe_.device;
    request.picture.modality = "CT";
    request.picture.window = windowLimits(recipe_.prepareMedsam);
    request.precision = recipe_.predict.precision;
    const bool lungs = recipe_.propagate.boxes == "lungs";
    if (!lungs) request.prompts.boxesFrom = folders_.cache / "prompts";
    if (recipe_.propagate.method == "none") {
        if (lungs)
            throw UsageError("propagate.method none prompts every slice with its label: set propagate.boxes labels");
    } else {
        PropagationOptions& propagation = request.propagation.emplace();
        propagation.method = recipe_.propagate.method;
        propagation.rules = recipe_.propagate.rules;
        propagation.lungs = lungs;
        propagation.boxShift = recipe_.propagate.boxShift;
        propagation.imageSize = trained ? 0 : recipe_.sam2.imageSize;
        propagation.separate = recipe_.predict.separate;
    }
    createDirectories(folders_.predictions);
    const PromptedOutcome outcome = loadNetworkModule().predictPrompted(request);
    logInfo("{} volumes, {} slices embedded in {:.1f} s: {}", outcome.images, outcome.slices, outcome.seconds,
            folders_.predictions.string());
    fs::remove_all(folders_.measured);
    for (const auto& [item, slices] : cases) {
        const std::string name = item.id + ".nii.gz";
        writeLabelMap(folders_.measured / "reference" / name, cut(readLabelMap(labelFile(item.id)), slices));
        writeLabelMap(folders_.measured / "prediction" / name,
                      cut(readLabelMap(folders_.predictions / (caseNameOf(item.image) + ".nii.gz")), slices));
    }
}

std::optional<EvaluationSummary> Sam2Stages::evaluate() const {
    EvaluationSummary summary = evaluateMeasured(recipe_.evaluate, folders_);
    evaluateSlices();
    return summary;
}

void Sam2Stages::evaluateSlices() const {
    const LabelTable table = dataset().labels;
    std::vector<int> ids;
    for (const Label& label : table.labels()) ids.push_back(label.id);
    std::vector<CaseSliceDice> cases;
    for (const auto& entry : fs::directory_iterator(folders_.measured / "reference")) {
        const std::string name = entry.path().filename().string();
        cases.push_back(
            {imageStem(entry.path()),
             sliceDice(readLabelMap(entry.path()), readLabelMap(folders_.measured / "prediction" / name), ids)});
    }
    std::sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    writeSliceDice(folders_.evaluation, cases, table);
}

void Sam2Stages::report() const {
    const Dataset all = dataset();
    std::vector<Case> cases;
    for (const Measured& item : measured(all)) cases.push_back(item.item);
    writeRunReport(recipe_, folders_, all, cases);
}

}  // namespace medseg
