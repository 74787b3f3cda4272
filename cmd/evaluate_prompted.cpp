#include "evaluate_prompted.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"

namespace medseg::cli {
namespace {

constexpr const char* kGroup = "Prompted networks (SAM, MedSAM) on cases of `medseg prepare --form medsam`";

std::vector<std::filesystem::path> casesAt(const std::filesystem::path& input) {
    if (!std::filesystem::is_directory(input)) return {input};
    std::vector<std::filesystem::path> cases;
    for (const auto& entry : std::filesystem::directory_iterator(input))
        if (entry.path().extension() == ".npz") cases.push_back(entry.path());
    std::sort(cases.begin(), cases.end());
    if (cases.empty())
        throw DataError(input.string(), "holds no .npz case: `medseg prepare --form medsam` writes them");
    return cases;
}

nlohmann::ordered_json toJson(const PromptedCaseScore& score) {
    return {{"name", score.name},       {"dsc", score.dice},      {"miou", score.iou},       {"fps", score.fps},
            {"box_dsc", score.boxDice}, {"slices", score.slices}, {"prompts", score.prompts}};
}

}  // namespace

void declareEvaluatePrompted(CLI::App& app, EvaluatePromptedOptions& options) {
    app.add_option("--model", options.model, "Checkpoint or model folder to run on the boxes of the labels")
        ->type_name("FILE|DIR")
        ->group(kGroup);
    app.add_option("--input", options.input, "npz case or folder of them, e.g. OUT/npz_test")
        ->type_name("FILE|DIR")
        ->group(kGroup);
    app.add_option("--box-margin", options.request.margin, "Pixels added to the boxes on all sides")
        ->check(CLI::NonNegativeNumber)
        ->type_name("PIXELS")
        ->group(kGroup);
    app.add_option("--style", options.request.style, "auto, sam, medsam or litemedsam")
        ->check(CLI::IsMember({"auto", "sam", "medsam", "litemedsam"}))
        ->type_name("NAME")
        ->group(kGroup);
    app.add_option("--device", options.request.device, "cpu, cuda or cuda:N")->type_name("NAME")->group(kGroup);
    app.add_option("--name", options.request.name, "Name of the table's last row")->type_name("TEXT")->group(kGroup);
}

int runEvaluatePrompted(const EvaluatePromptedOptions& options, const std::string& output, bool json) {
    if (options.input.empty()) throw UsageError("--model needs --input: npz cases to segment and measure");
    PromptedEvaluationRequest request = options.request;
    request.model = options.model;
    request.cases = casesAt(options.input);
    request.output = output;
    const PromptedEvaluation result = loadNetworkModule().evaluatePrompted(request);
    if (json) {
        auto cases = nlohmann::ordered_json::array();
        for (const PromptedCaseScore& score : result.cases) cases.push_back(toJson(score));
        fmt::print("{}\n", nlohmann::ordered_json{{"overall", toJson(result.overall)}, {"cases", cases}}.dump());
        return 0;
    }
    fmt::print("{:<28} {:>6} {:>6} {:>8} {:>8}\n", "NAME", "DSC", "MIOU", "FPS", "boxes");
    const auto row = [](const PromptedCaseScore& score) {
        fmt::print("{:<28} {:>6.1f} {:>6.1f} {:>8.2f} {:>8.1f}\n", score.name, 100 * score.dice, 100 * score.iou,
                   score.fps, 100 * score.boxDice);
    };
    for (const PromptedCaseScore& score : result.cases) row(score);
    row(result.overall);
    if (!output.empty()) logInfo("tables and picture: {0}/result.md, {0}/per_case.csv, {0}/comparison.png", output);
    return 0;
}

}  // namespace medseg::cli
