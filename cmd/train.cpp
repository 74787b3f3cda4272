// medseg train: a network from a recipe.
#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/ranks.h"
#include "medseg/pipeline/pipeline.h"
#include "medseg/pipeline/rank_training.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string recipe;
    std::vector<std::string> overrides;
    bool restart = false;
    bool resume = false;
    std::string resumeFile;  ///< empty: the newest checkpoint
    bool allFolds = false;
    int processes = 1;
};

int run(const Options& options) {
    Pipeline pipeline(loadRecipe(options.recipe, options.overrides));
    const auto rank = rankFromEnvironment();
    const bool together = rank || options.processes > 1;
    if (together && options.allFolds) throw UsageError("--all-folds trains in one process: leave out --processes");
    if (!rank) pipeline.run({Stage::Generate, Stage::Prepare}, false);
    if (!rank && together) return launchRanks(options.processes);
    pipeline.setTrainingStart(options.restart  ? TrainingStart::Anew
                              : options.resume ? TrainingStart::Continue
                                               : TrainingStart::Automatic);
    pipeline.setResumeFile(options.resumeFile);
    if (options.allFolds) {
        fmt::print("{}\n", pipeline.trainAllFolds().file.string());
        return 0;
    }
    const bool force = options.restart || options.resume;
    if (rank)
        trainAsRank(pipeline, *rank, force);
    else
        pipeline.run({Stage::Train}, force);
    if (rank && rank->rank > 0) return 0;
    fmt::print("{}\n", pipeline.folders().model.string());
    return 0;
}

std::function<int()> declare(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.add_option("recipe", options->recipe, "Recipe file (YAML)")->required()->type_name("RECIPE");
    app.add_option("overrides", options->overrides, "Values that win over the recipe's: train.epochs=50")
        ->type_name("key=value ...");
    const auto* resume =
        app.add_option(
               "--resume", options->resumeFile,
               "Continue from the newest checkpoint of OUTPUT/model, or from FILE (a path, or a name there such as "
               "epoch_10.pt), even with other values, e.g. more epochs. Without the option, a run of the same recipe "
               "that was cut off is continued, and a finished one is left alone")
            ->expected(0, 1)
            ->type_name("[FILE]");
    app.add_flag("--restart", options->restart, "Start from scratch even where a run of the same recipe exists")
        ->excludes("--resume");
    app.add_flag(
        "--all-folds", options->allFolds,
        "Cross-validation: train all data.folds folds, each to OUTPUT/model/fold_N, and write mean and standard "
        "deviation of their Dice to OUTPUT/model/cross_validation.json");
    app.add_option("--processes", options->processes,
                   "Train in N processes on this machine, each with its share of the threads and of every batch: "
                   "train.batch_size is that of one process. Several machines: docs/distributed.md")
        ->check(CLI::Range(1, 1024))
        ->type_name("N");
    app.footer(
        "Prepares the training slices first unless they are up to date. Writes to OUTPUT/model (output= in the "
        "recipe):\n"
        "label_map.json, latest.pth (with optimiser), best.pth, checkpoint_epochX.pth, training_history.json and "
        ".png (SAM 3D: latest.pt, best.pt, epoch_X.pt, history.json and .png),\n"
        "events/ for TensorBoard, samples/epochX.png (train.sample_every).\n"
        "All checkpoints load in Python with torch.load. Ctrl-C saves the state and exits with 130.\n\n"
        "Example: medseg train recipes/unet117.yaml data.root=/data/totalsegmentator train.epochs=20");
    return [options, resume] {
        options->resume = resume->count() > 0;
        if (options->resumeFile.find('=') != std::string::npos) {  // --resume before an override
            options->overrides.push_back(options->resumeFile);
            options->resumeFile.clear();
        }
        return run(*options);
    };
}

MEDSEG_COMMAND(train, "Train a network as a recipe says", declare);

}  // namespace
}  // namespace medseg::cli
