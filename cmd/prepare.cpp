// medseg prepare: raw cases into the files that a training reads.
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/pipeline/form_preparation.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/recipe/recipe.h"
#include "prepare_forms.h"

namespace medseg::cli {
namespace {

struct Options {
    std::vector<std::string> arguments;  ///< recipe file and key=value overrides
    std::vector<std::string> overrides;  ///< from options that stand for a key
    std::string input, output, images, labels;
    std::string form;
    std::vector<double> window;
    std::vector<int> imageSize;
};

bool isMedsam(const std::string& form) {
    return form == "medsam" || form == "medsam2" || form == "litemedsam";
}

/// --window and --image-size, which belong to other keys in other forms.
void addFormOverrides(const Options& options, const std::string& form, std::vector<std::string>& overrides) {
    if (options.window.size() == 2 && isMedsam(form)) {
        const auto [low, high] = std::pair(options.window[0], options.window[1]);
        if (!(low < high))
            throw UsageError(fmt::format("--window {},{}: the first must be below the second", low, high));
        overrides.push_back(fmt::format("prepare_medsam.window_level={}", (low + high) / 2));
        overrides.push_back(fmt::format("prepare_medsam.window_width={}", high - low));
    } else if (!options.window.empty()) {
        overrides.push_back(fmt::format("prepare.window=[{}]", fmt::join(options.window, ", ")));
    }
    if (!options.imageSize.empty())
        overrides.push_back(fmt::format("{}.image_size=[{}, {}]", isMedsam(form) ? "prepare_medsam" : "prepare",
                                        options.imageSize.front(), options.imageSize.back()));
}

void addFolderOverrides(const Options& options, std::vector<std::string>& overrides) {
    const auto folder = [&](const char* key, const std::string& path) {
        overrides.push_back(keyOverride(key, std::filesystem::absolute(path).string(), KeyValue::Text));
    };
    if (!options.input.empty()) overrides.push_back(keyOverride("data.root", options.input, KeyValue::Text));
    if (options.images.empty() != options.labels.empty()) throw UsageError("give both --images DIR and --labels DIR");
    if (options.images.empty()) return;
    folder("data.images", options.images);
    folder("data.labels_folder", options.labels);
    overrides.emplace_back("data.layout=pairs");
    if (options.input.empty()) folder("data.root", std::filesystem::absolute(options.images).parent_path());
}

/// The recipe file with the words "key=value" and the options on top.
Recipe recipeFrom(const Options& options) {
    std::string file;
    std::vector<std::string> overrides;
    for (const std::string& argument : options.arguments) {
        if (argument.find('=') != std::string::npos)
            overrides.push_back(argument);
        else if (file.empty())
            file = argument;
        else
            throw UsageError(fmt::format("two recipes, \"{}\" and \"{}\": give one", file, argument));
    }
    if (!options.form.empty())
        overrides.push_back("prepare.form=" + (options.form == "unet" ? std::string("slices") : options.form));
    addFolderOverrides(options, overrides);
    overrides.insert(overrides.end(), options.overrides.begin(), options.overrides.end());
    addFormOverrides(options, loadRecipe(file, overrides).prepare.form, overrides);
    return loadRecipe(file, overrides);
}

int runVolumes(const Recipe& recipe, const std::filesystem::path& output) {
    const FormOutcome outcome = prepareTrainingVolumes(recipe, output);
    writeTextFile(output / "recipe.yaml", recipeToYaml(recipe));
    fmt::print("{}: {} volumes ({} prepared, {} up to date)\n", output.string(), outcome.cases, outcome.prepared,
               outcome.reused);
    outcome.throwIfFailed();
    return static_cast<int>(ExitCode::Done);
}

int runSliceCache(const Recipe& recipe, const std::filesystem::path& output) {
    const PreparationResult result = prepareSliceCache(recipe, output);
    fmt::print("{}: {} slices of {} cases ({} prepared, {} up to date)\n", output.string(), result.slices,
               result.prepared + result.reused, result.prepared, result.reused);
    if (!result.failures.empty())
        throw WorkError(fmt::format("{} of {} cases could not be prepared, see above: first {}", result.failures.size(),
                                    result.failures.size() + static_cast<std::size_t>(result.prepared + result.reused),
                                    result.failures.front().message));
    return static_cast<int>(ExitCode::Done);
}

int runForm(const Recipe& recipe, const std::filesystem::path& output) {
    const FormOutcome outcome = prepareForm(recipe, output);
    fmt::print("{}: {} cases, {} files ({} prepared, {} up to date)\n", output.string(), outcome.cases, outcome.files,
               outcome.prepared, outcome.reused);
    outcome.throwIfFailed();
    return static_cast<int>(ExitCode::Done);
}

int run(const Options& options) {
    if (options.form == "nnunet-check") return runNnunetCheck(options.input);
    if (options.form == "nnunet-fingerprint") return runNnunetFingerprint(options.input, options.output);
    const Recipe recipe = recipeFrom(options);
    const bool slices = recipe.prepare.form == "slices";
    if (options.output.empty() && options.arguments.empty() && !slices) throw UsageError("give --output DIR");
    const std::filesystem::path output =
        options.output.empty() ? preparedFolder(recipe) : std::filesystem::path(options.output);
    if (preparesVolumes(recipe)) return runVolumes(recipe, output);
    return slices ? runSliceCache(recipe, output) : runForm(recipe, output);
}

void declareCases(CLI::App& app, Options& options, KeyOptions& keys) {
    app.add_option("--input", options.input, "Folder with the cases (data.root)")->type_name("DIR");
    app.add_option("--output", options.output, "Folder for the result (default: cache below the recipe's output)")
        ->type_name("DIR");
    keys.add("--layout", "data.layout", KeyValue::Plain, "auto, totalsegmentator or pairs", "NAME");
    keys.add("--structures", "data.structures", KeyValue::TextList,
             "Structures to keep, in output order (default: all)", "NAME,...");
    keys.group("Images and labels in two folders");
    app.add_option("--images", options.images, "Folder of the images")
        ->type_name("DIR")
        ->group("Images and labels in two folders");
    app.add_option("--labels", options.labels, "Folder of the label maps")
        ->type_name("DIR")
        ->group("Images and labels in two folders");
    keys.add("--image-suffix", "data.image_suffix", KeyValue::Text, "Ending of image names (default _0000.nii.gz)",
             "TEXT");
    keys.add("--label-suffix", "data.label_suffix", KeyValue::Text, "Ending of label names (default .nii.gz)", "TEXT");
    keys.group("");
}

std::function<int()> declare(CLI::App& app) {
    auto options = std::make_shared<Options>();
    KeyOptions keys(app, options->overrides);
    app.add_option("--form", options->form,
                   "What to write: slices (the U-Net's, default; volumes with model.dimensions=3), medsam, medsam2, "
                   "litemedsam, sam3d, nnunet; or check "
                   "and describe a dataset: nnunet-check, nnunet-fingerprint")
        ->check(CLI::IsMember({"slices", "unet", "medsam", "medsam2", "litemedsam", "sam3d", "nnunet", "nnunet-check",
                               "nnunet-fingerprint"}))
        ->type_name("FORM");
    app.add_option("recipe", options->arguments, "Recipe file and overrides such as prepare.image_size=[128,128]")
        ->type_name("[RECIPE] [KEY=VALUE ...]");
    declareCases(app, *options, keys);
    app.add_option("--image-size", options->imageSize, "Height and width of the slices, pixels (default 256)")
        ->delimiter(',')
        ->expected(1, 2)
        ->type_name("N|H,W");
    app.add_option("--window", options->window, "HU range mapped to [0, 1] (default -200,300)")
        ->delimiter(',')
        ->expected(2)
        ->type_name("LOW,HIGH");
    keys.add("--axis", "prepare.axis", KeyValue::Plain, "axial, coronal or sagittal slices", "NAME");
    keys.add("--slices", "prepare.slices", KeyValue::Plain, "all, or labelled: those with a structure", "NAME");
    keys.add("--every", "prepare.every_slice", KeyValue::Plain, "Keep every k-th slice", "K");
    declareFormOptions(keys);
    app.footer(
        "Examples: medseg prepare --input data --output cache --image-size 128\n"
        "          medseg prepare --form medsam --images imagesTr --labels labelsTr --output data/npz\n"
        "          medseg prepare --input data --output volumes model.dimensions=3 prepare.spacing=1.5\n"
        "          medseg prepare recipe.yaml prepare.form=nnunet --output data/Dataset001_Organs");
    return [options] { return run(*options); };
}

}  // namespace

MEDSEG_COMMAND(prepare, "Turn raw cases into training files", declare, "preprocess");

}  // namespace medseg::cli
