// medseg run: a whole pipeline from a recipe.
#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/metrics/evaluation_files.h"
#include "medseg/pipeline/pipeline.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string recipe;
    std::vector<std::string> arguments;  ///< overrides and stage=NAME
    bool force = false;
    bool keys = false;
};

int printKeys() {
    for (const RecipeKey& key : recipeKeys())
        fmt::print("{:<32} {:<28} {}\n", key.path, key.defaultValue, key.description);
    return 0;
}

std::vector<Stage> stagesFrom(const std::string& list) {
    std::vector<Stage> stages;
    std::size_t begin = 0;
    while (begin <= list.size()) {
        const std::size_t comma = std::min(list.find(',', begin), list.size());
        stages.push_back(stageFromName(list.substr(begin, comma - begin)));
        begin = comma + 1;
    }
    return stages;
}

int run(const Options& options) {
    if (options.keys) return printKeys();
    if (options.recipe.empty()) throw UsageError("no recipe: see `medseg run --help`");
    std::vector<std::string> overrides;
    std::vector<Stage> stages;
    for (const std::string& argument : options.arguments) {
        if (argument.starts_with("stage="))
            stages = stagesFrom(argument.substr(6));
        else
            overrides.push_back(argument);
    }
    Pipeline pipeline(loadRecipe(options.recipe, overrides));
    pipeline.run(stages, options.force);
    if (pipeline.evaluation()) fmt::print("{}", summaryTable(*pipeline.evaluation()));
    fmt::print("{}\n", pipeline.folders().root.string());
    return 0;
}

std::function<int()> declare(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.add_option("recipe", options->recipe, "Recipe file (YAML)")->type_name("RECIPE");
    app.add_option(
           "arguments", options->arguments,
           "Values that win over the recipe's (train.epochs=50), and stage=NAME[,NAME] to run these stages only")
        ->type_name("key=value ...");
    app.add_flag("--force", options->force, "Run the stages even when they are up to date");
    app.add_flag("--keys", options->keys, "List every recipe key with its default and meaning");
    app.footer(
        "Stages: generate, prepare, train, predict, evaluate, report. A stage whose recipe sections, inputs and "
        "earlier\n"
        "stages have not changed is skipped; a training that was cut off is resumed. Everything goes below "
        "`output`.\n\n"
        "Example: medseg run recipes/unet117.yaml data.root=/data/totalsegmentator output=out/unet117\n"
        "         medseg run recipes/unet117.yaml stage=evaluate,report output=out/unet117");
    return [options] { return run(*options); };
}

MEDSEG_COMMAND(run, "Run a whole pipeline: prepare, train, predict, evaluate, report", declare);

}  // namespace
}  // namespace medseg::cli
