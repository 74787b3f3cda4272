#include "medseg/pipeline/stage.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/pipeline/preparation_stage.h"

namespace medseg {

bool usesPreparedSlices(const Recipe& recipe) {
    return recipe.model.kind == "sam3d" && !recipe.sam3d.slices.empty();
}

const char* stageName(Stage stage) {
    constexpr std::array<const char*, 6> names{"generate", "prepare", "train", "predict", "evaluate", "report"};
    return names[static_cast<std::size_t>(stage)];
}

Stage stageFromName(const std::string& name) {
    for (const Stage stage : kAllStages)
        if (name == stageName(stage)) return stage;
    throw UsageError(
        fmt::format("stage \"{}\" is unknown: use generate, prepare, train, predict, evaluate or report", name));
}

RunFolders::RunFolders(const Recipe& recipe)
    : root(recipe.output),
      cache(usesPreparedSlices(recipe) ? fs::path(recipe.sam3d.slices) : preparedFolder(recipe)),
      model(root / "model"),
      predictions(root / "predictions"),
      measured(root / "measured"),
      evaluation(root / "evaluation"),
      report(root / "report") {}

}  // namespace medseg
