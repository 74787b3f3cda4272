// medseg evaluate: measure predictions against references.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "evaluate_prompted.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/metrics/evaluation.h"
#include "medseg/metrics/evaluation_files.h"
#include "medseg/report/evaluation_charts.h"

namespace medseg::cli {
namespace {

/// One of the names; the help shows them as the option's type.
template <typename Choice>
CLI::Validator choices(const std::map<std::string, Choice>& byName) {
    return CLI::CheckedTransformer(byName).description("");
}

struct Options {
    EvaluationRequest request;
    std::vector<std::string> labels;
    EvaluatePromptedOptions prompted;
    bool json = false;
    bool charts = true;
};

int environmentNumber(const char* name, int otherwise) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return otherwise;
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*end != '\0') throw UsageError(fmt::format("environment variable {}=\"{}\" is not a number", name, text));
    return static_cast<int>(value);
}

/// --labels takes names, ids, or one file with a table of them.
void setLabels(Options& options) {
    if (options.labels.size() == 1 && std::filesystem::is_regular_file(options.labels.front()))
        options.request.labelTable = options.labels.front();
    else
        options.request.labels = options.labels;
}

void printResult(const EvaluationSummary& summary, const Options& options) {
    const EvaluationRequest& request = options.request;
    if (!summary.isComplete) {
        logInfo("shard {} of {} is written; the last rank, or --merge, makes the tables", request.rank,
                request.worldSize);
        return;
    }
    if (options.json)
        fmt::print("{}\n", summaryJson(summary, request).dump(1));
    else
        fmt::print("{}", summaryTable(summary));
    std::fflush(stdout);
    if (request.output.empty()) return;
    logInfo("tables: {0}/per_case.csv, {0}/per_structure.csv, {0}/summary.json", request.output.string());
    if (!options.charts) return;
    for (const std::filesystem::path& chart : writeEvaluationCharts(summary, request.output))
        logInfo("chart: {}", chart.string());
}

void declareInputs(CLI::App& app, Options& options) {
    EvaluationRequest& request = options.request;
    app.add_option("--reference", request.reference,
                   "Reference: file, folder of files or case folders, mask folder, npz")
        ->type_name("PATH");
    app.add_option("--prediction", request.prediction, "Prediction, in any of the same forms")->type_name("PATH");
    app.add_option("--compare", request.comparison, "A second prediction: paired difference and Wilcoxon test")
        ->type_name("PATH");
    app.add_option("--output", request.output, "Folder for per_case.csv, per_structure.csv, summary.json and charts")
        ->type_name("DIR");
    app.add_option("--layout", request.layout, "What a file of a folder is: a case, or a structure of one case")
        ->transform(choices(std::map<std::string, CaseLayout>{
            {"auto", CaseLayout::Auto}, {"cases", CaseLayout::Cases}, {"structures", CaseLayout::Structures}}))
        ->type_name("auto|cases|structures")
        ->default_str("auto");
    app.add_option("--missing", request.missingPrediction, "A case without prediction: stop, leave out, score as empty")
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, MissingPrediction>{{"error", MissingPrediction::Error},
                                                                             {"skip", MissingPrediction::Skip},
                                                                             {"empty", MissingPrediction::Empty}}))
        ->type_name("error|skip|empty")
        ->default_str("error");
}

void declareMeasures(CLI::App& app, Options& options) {
    EvaluationRequest& request = options.request;
    app.add_option("--metrics", request.metrics, "Metrics, separated by commas; \"all\" for all")->delimiter(',');
    app.add_option("--labels", options.labels,
                   "Structures to evaluate (names or ids, separated by commas), or a FILE with names and ids (JSON, "
                   "dataset.json, text)")
        ->delimiter(',')
        ->type_name("FILE|NAMES");
    app.add_option("--surface-definition", request.surfaceDefinition,
                   "deepmind: surface elements between voxels, weighted by area. monai: centres of edge voxels, "
                   "unweighted, interpolated percentiles. medpy: as monai, percentiles over both directions together")
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, SurfaceDefinition>{{"deepmind", SurfaceDefinition::DeepMind},
                                                                             {"monai", SurfaceDefinition::Monai},
                                                                             {"medpy", SurfaceDefinition::Medpy}}))
        ->type_name("deepmind|monai|medpy")
        ->default_str("deepmind");
    app.add_option("--nsd-tolerance", request.nsdTolerance, "Tolerance of the surface Dice, mm")->type_name("MM");
    app.add_option("--iou-thresholds", request.iouThresholds, "A structure counts as detected from these IoU on")
        ->delimiter(',');
    app.add_option("--lesion-iou", request.lesionIou, "A lesion counts as found from this IoU on");
    app.add_option("--minimum-voxels", request.minimumVoxels,
                   "Leave structures with a smaller reference out of the summary");
    app.add_option("--both-empty", request.bothEmpty, "Dice and IoU of a structure that neither side has")
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, BothEmpty>{{"nan", BothEmpty::NaN}, {"1", BothEmpty::One}}))
        ->type_name("nan|1")
        ->default_str("nan");
    app.add_option("--seed", request.bootstrap.seed, "Seed of the bootstrap confidence intervals");
}

std::function<int()> declareEvaluate(CLI::App& app) {
    auto options = std::make_shared<Options>();
    declareInputs(app, *options);
    declareMeasures(app, *options);
    declareEvaluatePrompted(app, options->prompted);
    app.add_flag("--merge", options->request.mergeOnly, "Only merge the shards of WORLD_SIZE ranks in --output");
    app.add_flag("--charts,!--no-charts", options->charts, "Draw ranking, distribution and detection rates as PNG");
    app.add_flag("--json", options->json, "Print the summary as one JSON object");
    app.footer(
        "\nMetrics:\n" + describeMetrics() +
        "\nA structure that neither side has is NaN and left out of means; one that only one side has scores 0.\n"
        "With RANK and WORLD_SIZE set, each rank measures its share of the cases and the last one merges.\n\n"
        "Example: medseg evaluate --reference labelsTs --prediction predictions --output results "
        "--metrics dice,hd95,nsd --nsd-tolerance 2");
    return [options] {
        if (!options->prompted.model.empty())
            return runEvaluatePrompted(options->prompted, options->request.output.string(), options->json);
        if (options->request.reference.empty() || options->request.prediction.empty())
            throw UsageError("give --reference and --prediction, or --model and --input");
        setLabels(*options);
        options->request.rank = environmentNumber("RANK", 0);
        options->request.worldSize = environmentNumber("WORLD_SIZE", 1);
        printResult(evaluate(options->request), *options);
        return static_cast<int>(ExitCode::Done);
    };
}

}  // namespace

MEDSEG_COMMAND(evaluate, "Measure predictions against references: Dice, IoU, surface distances, detection",
               declareEvaluate);

}  // namespace medseg::cli
