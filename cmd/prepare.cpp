// medseg prepare: raw cases into the files that a training reads.
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/preparation.h"
#include "medseg/recipe/recipe.h"
#include "prepare_forms.h"

namespace medseg::cli {
namespace {

struct Options {
    std::vector<std::string> arguments;  ///< recipe file and key=value overrides
    std::string input, output, layout, slices, axis;
    std::vector<std::string> structures;
    std::vector<double> window;
    std::vector<int> imageSize;
    int everySlice = 0;
    std::string form = "unet";
    PairOptions pairs;
    MedsamOptions medsam;
    Sam3dOptions sam3d;
    NnunetOptions nnunet;
};

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
    const auto override = [&](const char* key, const std::string& value) {
        if (!value.empty()) overrides.push_back(fmt::format("{}={}", key, value));
    };
    override("data.root", options.input);
    override("data.layout", options.layout);
    override("prepare.slices", options.slices);
    override("prepare.axis", options.axis);
    if (options.everySlice != 0) override("prepare.every_slice", fmt::format("{}", options.everySlice));
    if (!options.structures.empty())
        override("data.structures", fmt::format("[{}]", fmt::join(options.structures, ", ")));
    if (!options.window.empty()) override("prepare.window", fmt::format("[{}]", fmt::join(options.window, ", ")));
    if (options.imageSize.size() == 1)
        override("prepare.image_size", fmt::format("[{}, {}]", options.imageSize[0], options.imageSize[0]));
    else if (!options.imageSize.empty())
        override("prepare.image_size", fmt::format("[{}]", fmt::join(options.imageSize, ", ")));
    return loadRecipe(file, overrides);
}

int runSliceCache(const Options& options) {
    const Recipe recipe = recipeFrom(options);
    const std::filesystem::path output =
        options.output.empty() ? std::filesystem::path(recipe.output) / "cache" : std::filesystem::path(options.output);
    const Dataset dataset = discoverDataset(recipe.data);
    logInfo("{}: {} cases, {} structures", recipe.data.root, dataset.cases.size(), dataset.labels.size());
    const PreparationResult result = prepareSlices(dataset, recipe.prepare, output);
    writeTextFile(output / "recipe.yaml", recipeToYaml(recipe));
    for (const CaseFailure& failure : result.failures) logWarning("{}", failure.message);
    fmt::print("{}: {} slices of {} cases ({} prepared, {} up to date)\n", output.string(), result.slices,
               result.prepared + result.reused, result.prepared, result.reused);
    if (!result.failures.empty())
        throw WorkError(fmt::format("{} of {} cases could not be prepared, see above: first {}", result.failures.size(),
                                    dataset.cases.size(), result.failures.front().message));
    return static_cast<int>(ExitCode::Done);
}

int run(const Options& options) {
    if (options.form == "unet") return runSliceCache(options);
    if (!options.arguments.empty()) throw UsageError("recipes describe the form unet: give options");
    if (options.form == "nnunet") return runNnunet(options.pairs, options.nnunet, options.output);
    if (options.form == "nnunet-check") return runNnunetCheck(options.input);
    if (options.form == "nnunet-fingerprint") return runNnunetFingerprint(options.input, options.output);
    if (options.form == "sam3d") return runSam3d(options.input, options.pairs, options.sam3d, options.output);
    return runMedsam(options.form, options.pairs, options.medsam, options.window, options.imageSize, options.output);
}

std::function<int()> declare(CLI::App& app) {
    auto options = std::make_shared<Options>();
    app.add_option("--form", options->form,
                   "What to write: unet (slice cache), medsam, medsam2, litemedsam, sam3d, nnunet, "
                   "nnunet-check, nnunet-fingerprint")
        ->check(CLI::IsMember(
            {"unet", "medsam", "medsam2", "litemedsam", "sam3d", "nnunet", "nnunet-check", "nnunet-fingerprint"}))
        ->type_name("FORM");
    app.add_option("recipe", options->arguments, "Recipe file and overrides such as prepare.image_size=[128,128]")
        ->type_name("[RECIPE] [KEY=VALUE ...]");
    app.add_option("--input", options->input, "Folder with the cases (data.root)")->type_name("DIR");
    app.add_option("--output", options->output, "Folder for the result (unet: default cache below the recipe's output)")
        ->type_name("DIR");
    app.add_option("--layout", options->layout, "auto, totalsegmentator or pairs")->type_name("NAME");
    app.add_option("--structures", options->structures, "Structures to keep, in output order (default: all)")
        ->delimiter(',')
        ->type_name("NAME,...");
    app.add_option("--image-size", options->imageSize, "Height and width of the slices, pixels (default 256)")
        ->delimiter(',')
        ->type_name("N|H,W");
    app.add_option("--window", options->window, "HU range mapped to [0, 1] (default -200,300)")
        ->delimiter(',')
        ->type_name("LOW,HIGH");
    app.add_option("--axis", options->axis, "axial, coronal or sagittal slices")->type_name("NAME");
    app.add_option("--slices", options->slices, "all, or labelled: those with a structure")->type_name("NAME");
    app.add_option("--every", options->everySlice, "Keep every k-th slice")->type_name("K");
    declarePairOptions(app, options->pairs);
    declareMedsamOptions(app, options->medsam);
    declareSam3dOptions(app, options->sam3d);
    declareNnunetOptions(app, options->nnunet);
    app.footer(
        "Examples: medseg prepare --input data --output cache --image-size 128\n"
        "          medseg prepare --form medsam --images imagesTr --labels labelsTr --output data/npz");
    return [options] { return run(*options); };
}

}  // namespace

MEDSEG_COMMAND(prepare, "Turn raw cases into training slices", declare, "preprocess");

}  // namespace medseg::cli
