#include "medseg/pipeline/preparation_stage.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/layout.h"
#include "medseg/dataset/preparation.h"
#include "medseg/dataset/split.h"
#include "medseg/dataset/volume_cache.h"
#include "medseg/dataset/volume_preparation.h"
#include "medseg/report/contact_sheet.h"

namespace medseg {
namespace {

void prepareTrainingSlices(const Recipe& recipe, const fs::path& folder) {
    const PreparationResult result = prepareSliceCache(recipe, folder);
    logInfo("{} cases prepared, {} reused, {} slices in {}", result.prepared, result.reused, result.slices,
            folder.string());
    if (result.failures.empty()) return;
    throw WorkError(fmt::format(
        "{} of {} cases could not be prepared (listed above); the others are in {}", result.failures.size(),
        result.failures.size() + static_cast<std::size_t>(result.prepared + result.reused), folder.string()));
}

std::vector<HeldOutCase> heldOutSlices(const Recipe& recipe, const fs::path& folder) {
    const SliceCache cache(folder);
    const SliceSplit split = splitSlices(cache, recipe.data, recipe.seed);
    std::vector<HeldOutCase> cases;
    for (const std::int64_t slice : split.test.empty() ? split.validation : split.test) {
        const std::string& id = cache.caseAt(cache.caseOf(slice)).id;
        if (cases.empty() || cases.back().id != id) cases.push_back({id, {}});
        if (split.bySlice) cases.back().slices.push_back(cache.sourceSliceOf(slice));
    }
    return cases;
}

std::vector<HeldOutCase> heldOutVolumes(const Recipe& recipe, const fs::path& folder) {
    const CaseSplit split = splitCases(VolumeCache(folder).caseIds(), recipe.data, recipe.seed);
    std::vector<HeldOutCase> cases;
    for (const std::string& id : split.test.empty() ? split.validation : split.test) cases.push_back({id, {}});
    return cases;
}

}  // namespace

bool preparesVolumes(const Recipe& recipe) {
    return recipe.prepare.form == "slices" && recipe.model.kind == "unet" && recipe.model.dimensions == 3;
}

fs::path preparedFolder(const Recipe& recipe) {
    return fs::path(recipe.output) / (preparesVolumes(recipe) ? "volumes" : "cache");
}

fs::path preparedManifest(const Recipe& recipe, const fs::path& folder) {
    const bool slices = recipe.model.kind == "unet" && recipe.prepare.form == "slices" && !preparesVolumes(recipe);
    return folder / (slices ? "cache.json" : "manifest.json");
}

FormOutcome prepareTrainingVolumes(const Recipe& recipe, const fs::path& folder) {
    CasePipelineResult result = prepareVolumes(discoverDataset(recipe.data), recipe.prepare, folder);
    writeContactSheet(folder / "contact_sheet.png", folder, result, "Prepared volumes");
    for (const CaseFailure& failure : result.failures) logWarning("{}", failure.message);
    FormOutcome outcome{
        .prepared = result.prepared, .reused = result.reused, .cases = result.records.size(), .failures = {}};
    for (const CaseRecord& record : result.records) outcome.files += record.files.size();
    outcome.failures = std::move(result.failures);
    return outcome;
}

void prepareCases(const Recipe& recipe, const fs::path& folder) {
    const bool volumes = preparesVolumes(recipe);
    if (!volumes && recipe.prepare.form == "slices") return prepareTrainingSlices(recipe, folder);
    const FormOutcome outcome = volumes ? prepareTrainingVolumes(recipe, folder) : prepareForm(recipe, folder);
    logInfo("{} cases prepared, {} reused, {} files in {}", outcome.prepared, outcome.reused, outcome.files,
            folder.string());
    outcome.throwIfFailed();
}

std::int64_t preparedCaseCount(const Recipe& recipe, const fs::path& folder) {
    return preparesVolumes(recipe) ? VolumeCache(folder).caseCount() : SliceCache(folder).caseCount();
}

std::vector<HeldOutCase> heldOutCases(const Recipe& recipe, const fs::path& folder) {
    const std::vector<HeldOutCase> cases =
        preparesVolumes(recipe) ? heldOutVolumes(recipe, folder) : heldOutSlices(recipe, folder);
    if (cases.empty()) throw DataError("no case is held out to measure on: set data.validation_fraction");
    return cases;
}

}  // namespace medseg
