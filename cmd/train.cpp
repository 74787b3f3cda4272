// medseg train: a network from a recipe.
#include <fmt/format.h>

#include "command.h"
#include "medseg/pipeline/pipeline.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string recipe;
    std::vector<std::string> overrides;
    bool restart = false;
    bool resume = false;
    bool allFolds = false;
};

int run(const Options& options) {
    Pipeline pipeline(loadRecipe(options.recipe, options.overrides));
    pipeline.run({Stage::Generate, Stage::Prepare}, false);
    pipeline.setTrainingStart(options.restart  ? TrainingStart::Anew
                              : options.resume ? TrainingStart::Continue
                                               : TrainingStart::Automatic);
    if (options.allFolds) {
        fmt::print("{}\n", pipeline.trainAllFolds().file.string());
        return 0;
    }
    pipeline.run({Stage::Train}, options.restart || options.resume);
    fmt::print("{}\n", pipeline.folders().model.string());
    return 0;
}

std::function<int()> declare(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.add_option("recipe", options->recipe, "Recipe file (YAML)")->required()->type_name("RECIPE");
    app.add_option("overrides", options->overrides, "Values that win over the recipe's: train.epochs=50")
        ->type_name("key=value ...");
    app.add_flag(
        "--resume", options->resume,
        "Continue from OUTPUT/model/latest.pth, even with other values, e.g. more epochs. Without the flag, a run "
        "of the same recipe that was cut off is continued, and a finished one is left alone");
    app.add_flag("--restart", options->restart, "Start from scratch even where a run of the same recipe exists")
        ->excludes("--resume");
    app.add_flag(
        "--all-folds", options->allFolds,
        "Cross-validation: train all data.folds folds, each to OUTPUT/model/fold_N, and write mean and standard "
        "deviation of their Dice to OUTPUT/model/cross_validation.json");
    app.footer(
        "Prepares the training slices first unless they are up to date. Writes to OUTPUT/model (output= in the "
        "recipe):\n"
        "label_map.json, latest.pth (with optimiser), best.pth, checkpoint_epochX.pth, training_history.json and "
        ".png,\n"
        "events/ for TensorBoard, samples/epochX.png (train.sample_every).\n"
        "All checkpoints load in Python with torch.load. Ctrl-C saves the state and exits with 130.\n\n"
        "Example: medseg train recipes/unet117.yaml data.root=/data/totalsegmentator train.epochs=20");
    return [options] { return run(*options); };
}

MEDSEG_COMMAND(train, "Train a network as a recipe says", declare);

}  // namespace
}  // namespace medseg::cli
