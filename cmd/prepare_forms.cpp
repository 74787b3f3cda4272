// The forms of `medseg prepare` that write files for other trainers' formats.
#include "prepare_forms.h"

#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/medsam_preparation.h"
#include "medseg/report/contact_sheet.h"

namespace medseg::cli {
namespace {

constexpr const char* kPairs = "Images and labels in two folders (forms medsam, medsam2, litemedsam)";
constexpr const char* kMedsam = "MedSAM, MedSAM2, LiteMedSAM (--form medsam, medsam2, litemedsam)";

MedsamSettings settingsFrom(const std::string& form, const MedsamOptions& options, const std::vector<double>& window,
                            const std::vector<int>& imageSize) {
    MedsamSettings settings = medsamDefaults(form);
    settings.modality = options.modality;
    settings.anatomy = options.anatomy;
    if (window.size() == 2) settings.image.window = Window::fromRange(window[0], window[1]);
    settings.image.window.level = options.windowLevel.value_or(settings.image.window.level);
    settings.image.window.width = options.windowWidth.value_or(settings.image.window.width);
    if (options.percentiles) settings.image.percents = {(*options.percentiles)[0], (*options.percentiles)[1]};
    settings.labels.removeLabels = options.removeLabels.value_or(settings.labels.removeLabels);
    std::erase(settings.labels.removeLabels, 0);
    settings.labels.tumorLabel = options.tumorLabel;
    settings.labels.dust3d = options.dust3d.value_or(settings.labels.dust3d);
    settings.labels.dust2d = options.dust2d.value_or(settings.labels.dust2d);
    settings.trainCases = options.trainCases;
    settings.saveNii = options.saveNii;
    settings.npy = options.npy;
    if (!imageSize.empty()) settings.imageSize = {imageSize.front(), imageSize.back()};
    return settings;
}

}  // namespace

void declarePairOptions(CLI::App& app, PairOptions& options) {
    app.add_option("--images", options.images, "Folder of the images")->type_name("DIR")->group(kPairs);
    app.add_option("--labels", options.labels, "Folder of the label maps")->type_name("DIR")->group(kPairs);
    app.add_option("--image-suffix", options.imageSuffix, "Ending of image names (default _0000.nii.gz)")
        ->type_name("TEXT")
        ->group(kPairs);
    app.add_option("--label-suffix", options.labelSuffix, "Ending of label names (default .nii.gz)")
        ->type_name("TEXT")
        ->group(kPairs);
}

std::vector<ImageLabelPair> pairsFrom(const PairOptions& options, std::vector<CaseFailure>& problems) {
    if (options.images.empty() || options.labels.empty()) throw UsageError("give --images DIR and --labels DIR");
    PairSearch found = findImageLabelPairs(options.images, options.imageSuffix, options.labels, options.labelSuffix);
    for (const std::filesystem::path& image : found.lonelyImages)
        logWarning("{}: has no label in {}: left out", image.string(), options.labels);
    for (const std::filesystem::path& label : found.lonelyLabels)
        problems.push_back({label.filename().string(), fmt::format("{}: has no image *{} in {}", label.string(),
                                                                   options.imageSuffix, options.images)});
    return std::move(found.pairs);
}

void declareMedsamOptions(CLI::App& app, MedsamOptions& options) {
    const auto add = [&](const char* name, auto& value, const char* meaning, const char* type) {
        return app.add_option(name, value, meaning)->type_name(type)->group(kMedsam);
    };
    add("--modality", options.modality, "CT: a window; MR and others: percentiles (default CT)", "NAME");
    add("--anatomy", options.anatomy, "Second part of output names, as in CT_Abd_CASE (default Abd)", "NAME");
    add("--window-level", options.windowLevel, "CT: middle of the window, HU (default 40)", "HU");
    add("--window-width", options.windowWidth, "CT: width of the window, HU (default 400)", "HU");
    add("--percentiles", options.percentiles, "Others: limits among the positive voxels (default 0.5,99.5)", "LOW,HIGH")
        ->delimiter(',')
        ->expected(2);
    add("--remove-labels", options.removeLabels, "Labels to drop (default 12; 0: none)", "ID,...")->delimiter(',');
    add("--tumor-label", options.tumorLabel, "Label whose components become labels of their own (default: none)", "ID");
    add("--dust-3d", options.dust3d, "Drop components of fewer voxels (default 1000; litemedsam 100)", "VOXELS");
    add("--dust-2d", options.dust2d, "Then drop components of fewer pixels in a slice (default 100; litemedsam 10)",
        "PIXELS");
    add("--train-cases", options.trainCases, "The first N sorted cases are for training; 0: all (default 40)", "N")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--npy", options.npy, "Also one .npy a slice, of the training cases")->group(kMedsam);
    app.add_flag("--save-nii", options.saveNii, "Also the kept slices as NIfTI, to look at")->group(kMedsam);
}

int runMedsam(const std::string& form, const PairOptions& pairs, const MedsamOptions& options,
              const std::vector<double>& window, const std::vector<int>& imageSize, const std::string& output) {
    const MedsamSettings settings = settingsFrom(form, options, window, imageSize);
    checkMedsamSettings(settings);
    if (output.empty()) throw UsageError("give --output DIR");
    std::vector<CaseFailure> problems;
    const std::vector<PipelineCase> cases = medsamCases(pairsFrom(pairs, problems), settings);
    return runForm(medsamForm(settings), cases, output, std::move(problems));
}

int runForm(const CaseForm& form, const std::vector<PipelineCase>& cases, const std::string& output,
            std::vector<CaseFailure> problems) {
    const std::filesystem::path folder = output;
    const CasePipelineResult result = runCasePipeline(form, cases, folder);
    const std::filesystem::path sheet = folder / "contact_sheet.png";
    if (result.prepared > 0 || !std::filesystem::exists(sheet))
        writeContactSheet(sheet, folder, result,
                          fmt::format("{}: {} of {} cases", form.name, result.records.size(), cases.size()));
    problems.insert(problems.end(), result.failures.begin(), result.failures.end());
    for (const CaseFailure& failure : problems) logWarning("{}", failure.message);
    std::size_t files = 0;
    for (const CaseRecord& record : result.records) files += record.files.size();
    fmt::print("{}: {} cases, {} files ({} prepared, {} up to date)\n", output, result.records.size(), files,
               result.prepared, result.reused);
    if (!problems.empty())
        throw WorkError(fmt::format("{} of {} cases could not be prepared, see above: first {}", problems.size(),
                                    problems.size() + result.records.size(), problems.front().message));
    return static_cast<int>(ExitCode::Done);
}

}  // namespace medseg::cli
