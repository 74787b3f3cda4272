#include "medseg/pipeline/demo.h"

#include "medseg/pipeline/demo_recipe.h"

namespace medseg {

Recipe demoRecipe(const std::string& output, const std::vector<std::string>& overrides) {
    std::vector<std::string> all{"output=\"" + output + "\""};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return recipeFromYaml(kDemoRecipe, "recipes/demo.yaml", all);
}

std::vector<std::pair<std::string, std::filesystem::path>> demoResults(const Pipeline& pipeline) {
    const RunFolders& folders = pipeline.folders();
    std::vector<std::pair<std::string, std::filesystem::path>> results{
        {"model", folders.model / "best.pth"},     {"curves", folders.model / "training_history.png"},
        {"segmentations", folders.predictions},    {"measures", folders.evaluation / "per_structure.csv"},
        {"pictures", folders.report / "overlays"},
    };
    if (pipeline.recipe().report.html) results.emplace_back("report", folders.report / "report.html");
    return results;
}

}  // namespace medseg
