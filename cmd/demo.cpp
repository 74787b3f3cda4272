// medseg demo: the whole job on generated cases.
#include <fmt/format.h>

#include "command.h"
#include "medseg/metrics/evaluation_files.h"
#include "medseg/pipeline/demo.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string output = "out/demo";
    std::vector<std::string> overrides;
};

int run(const Options& options) {
    Pipeline pipeline(demoRecipe(options.output, options.overrides));
    pipeline.run({}, false);
    if (pipeline.evaluation()) fmt::print("{}", summaryTable(*pipeline.evaluation()));
    for (const auto& [what, path] : demoResults(pipeline)) fmt::print("{:<14} {}\n", what, path.string());
    return 0;
}

std::function<int()> declare(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.add_option("-o,--output", options->output, "Folder for everything the demo writes")->type_name("DIR");
    app.add_option("overrides", options->overrides, "Recipe values to change: train.epochs=5")
        ->type_name("key=value ...");
    app.footer(
        "Generates torso phantoms, prepares them, trains a small U-Net, segments unseen cases, measures and draws the\n"
        "result: two to three minutes on two cores. Opens nothing; the paths of the results are printed.\n\n"
        "Example: medseg demo --output out/demo");
    return [options] { return run(*options); };
}

MEDSEG_COMMAND(demo, "Try everything on generated cases, in two to three minutes", declare);

}  // namespace
}  // namespace medseg::cli
