#include "medseg/pipeline/form_preparation.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/form_cases.h"
#include "medseg/dataset/form_settings.h"
#include "medseg/dataset/layout.h"
#include "medseg/report/contact_sheet.h"

namespace medseg {
namespace {

/// A form, and the cases to run it on.
struct Work {
    CaseForm form;
    std::vector<PipelineCase> cases;
};

/// Names 1, 2 ... of the source's dataset.json; empty when it has none or leaves numbers out.
std::vector<std::string> sourceLabelNames(const DataSettings& data) {
    const fs::path file = fs::path(data.root) / "dataset.json";
    std::error_code error;
    if (data.root.empty() || !fs::is_regular_file(file, error)) return {};
    std::vector<std::string> names;
    for (const auto& [value, name] : readDatasetLabels(file)) {
        if (value != static_cast<int>(names.size()) + 1) return {};
        names.push_back(name);
    }
    return names;
}

Work nnunetWork(const Recipe& recipe, FormCases& found, NnunetSettings& settings) {
    settings = nnunetSettingsFrom(recipe.prepareNnunet);
    if (settings.labelNames.empty() && !found.reader.readsMasks()) settings.labelNames = sourceLabelNames(recipe.data);
    Work work{nnunetForm(settings, found.reader), nnunetCases(found.pairs, settings, found.problems)};
    if (const std::string& folder = recipe.prepareNnunet.testImages; !folder.empty()) {
        const DataSettings data = withDatasetEnding(recipe.data);
        for (PipelineCase& item : nnunetTestCases(folder, data.imageSuffix, settings, found.problems))
            work.cases.push_back(std::move(item));
    }
    return work;
}

Work workOf(const Recipe& recipe, const fs::path& output, FormCases& found, NnunetSettings& nnunet) {
    const std::string& form = recipe.prepare.form;
    if (form == "nnunet") return nnunetWork(recipe, found, nnunet);
    if (form == "sam3d")
        return {sam3dForm(sam3dSettingsFrom(recipe.prepareSam3d, found.reader), output, found.reader),
                sam3dCases(found.pairs)};
    const MedsamSettings settings = medsamSettingsFrom(form, recipe.prepareMedsam, found.reader);
    return {medsamForm(settings, found.reader), medsamCases(found.pairs, settings)};
}

/// Settings that are wrong whatever the cases are must not wait for a search on a slow disk.
void checkSettings(const Recipe& recipe) {
    const std::string& form = recipe.prepare.form;
    if (form == "sam3d")
        sam3dSettingsFrom(recipe.prepareSam3d, {});
    else if (form != "nnunet")
        medsamSettingsFrom(form, recipe.prepareMedsam, {});
}

void writeSheet(const fs::path& output, const std::string& form, const CasePipelineResult& result, std::size_t cases,
                const LabelTable& names) {
    const fs::path sheet = output / "contact_sheet.png";
    if (result.prepared > 0 || !fs::exists(sheet))
        writeContactSheet(sheet, output, result, fmt::format("{}: {} of {} cases", form, result.records.size(), cases),
                          names);
}

}  // namespace

void FormOutcome::throwIfFailed() const {
    if (failures.empty()) return;
    throw WorkError(fmt::format("{} of {} cases could not be prepared, see above: first {}", failures.size(),
                                failures.size() + cases, failures.front().message));
}

PreparationResult prepareSliceCache(const Recipe& recipe, const fs::path& output) {
    const Dataset dataset = discoverDataset(recipe.data);
    logInfo("{}: {} cases, {} structures", recipe.data.root, dataset.cases.size(), dataset.labels.size());
    PreparationResult result = prepareSlices(dataset, recipe.prepare, output);
    writeTextFile(output / "recipe.yaml", recipeToYaml(recipe));
    const fs::path sheet = output / "contact_sheet.png";
    if (result.prepared > 0 || !fs::exists(sheet)) writeContactSheet(sheet, SliceCache(output));
    for (const CaseFailure& failure : result.failures) logWarning("{}", failure.message);
    return result;
}

FormOutcome prepareForm(const Recipe& recipe, const fs::path& output) {
    checkSettings(recipe);
    FormCases found = findFormCases(recipe.data);
    for (const fs::path& image : found.lonelyImages) logWarning("{}: has no label: left out", image.string());
    NnunetSettings nnunet;
    const Work work = workOf(recipe, output, found, nnunet);
    CasePipelineResult result = runCasePipeline(work.form, work.cases, output);
    writeSheet(output, recipe.prepare.form, result, work.cases.size(), found.reader.structures());
    if (recipe.prepare.form == "nnunet")
        writeNnunetDescription(output / "dataset.json", describeNnunet(result, nnunet, found.reader));
    FormOutcome outcome{
        .prepared = result.prepared, .reused = result.reused, .cases = result.records.size(), .failures = {}};
    for (const CaseRecord& record : result.records) outcome.files += record.files.size();
    outcome.failures = std::move(found.problems);
    outcome.failures.insert(outcome.failures.end(), result.failures.begin(), result.failures.end());
    writeTextFile(output / "recipe.yaml", recipeToYaml(recipe));
    for (const CaseFailure& failure : outcome.failures) logWarning("{}", failure.message);
    return outcome;
}

}  // namespace medseg
