#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/files.h"
#include "medseg/base/version.h"
#include "medseg/metrics/evaluation_files.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
    if (std::isnan(value)) return nullptr;
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
}

Json numbers(const std::vector<double>& values) {
    Json list = Json::array();
    for (const double value : values) list.push_back(number(value));
    return list;
}

Json statisticsJson(const SampleStatistics& s) {
    return {{"mean", number(s.mean)},
            {"median", number(s.median)},
            {"std", number(s.standardDeviation)},
            {"ci95", {number(s.confidenceLow), number(s.confidenceHigh)}},
            {"min", number(s.minimum)},
            {"q25", number(s.lowerQuartile)},
            {"q75", number(s.upperQuartile)},
            {"max", number(s.maximum)},
            {"n", s.count},
            {"n_undefined", s.countNaN},
            {"n_infinite", s.countInfinite}};
}

/// nnU-Net's entry for one region of one case, and our metrics beside it.
Json caseMetrics(const StructureMeasure& row, const std::vector<Metric>& metrics) {
    Json entry{{"Dice", number(diceScore(row.counts))}, {"FN", row.counts.falseNegatives()},
               {"FP", row.counts.falsePositives()},     {"IoU", number(iouScore(row.counts))},
               {"TN", row.counts.trueNegatives()},      {"TP", row.counts.truePositives()},
               {"n_pred", row.counts.prediction},       {"n_ref", row.counts.reference}};
    for (std::size_t m = 0; m < metrics.size(); ++m) entry[metrics[m].name] = number(row.values[m]);
    return entry;
}

/// Means over cases without NaN, key by key, as nnU-Net's evaluation does.
class NnunetMeans {
  public:
    void add(const StructureMeasure& row) {
        const std::array<double, 8> values{diceScore(row.counts),
                                           static_cast<double>(row.counts.falseNegatives()),
                                           static_cast<double>(row.counts.falsePositives()),
                                           iouScore(row.counts),
                                           static_cast<double>(row.counts.trueNegatives()),
                                           static_cast<double>(row.counts.truePositives()),
                                           static_cast<double>(row.counts.prediction),
                                           static_cast<double>(row.counts.reference)};
        for (std::size_t i = 0; i < values.size(); ++i) samples_[i].push_back(values[i]);
    }
    std::array<double, 8> means() const {
        std::array<double, 8> means{};
        for (std::size_t i = 0; i < means.size(); ++i) means[i] = meanIgnoringNaN(samples_[i]);
        return means;
    }
    static Json toJson(const std::array<double, 8>& means) {
        static constexpr std::array kKeys{"Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref"};
        Json entry = Json::object();
        for (std::size_t i = 0; i < means.size(); ++i) entry[kKeys[i]] = number(means[i]);
        return entry;
    }

  private:
    std::array<std::vector<double>, 8> samples_;
};

void addMeans(Json& json, const EvaluationSummary& summary) {
    std::array<std::vector<double>, 8> foreground;
    Json means = Json::object();
    for (std::size_t s = 0; s < summary.structures.size(); ++s) {
        const StructureSummary& structure = summary.structures[s];
        NnunetMeans nnunet;
        for (const CaseEvaluation& one : summary.cases)
            for (const StructureMeasure& row : one.structures)
                if (row.label == structure.label && row.structure == structure.structure) nnunet.add(row);
        const auto values = nnunet.means();
        for (std::size_t i = 0; i < values.size(); ++i) foreground[i].push_back(values[i]);
        Json entry = NnunetMeans::toJson(values);
        for (std::size_t m = 0; m < summary.metrics.size(); ++m)
            entry[summary.metrics[m].name] = number(structure.statistics[m].mean);
        means[std::to_string(structure.label)] = std::move(entry);
    }
    std::array<double, 8> foregroundMeans{};
    for (std::size_t i = 0; i < foregroundMeans.size(); ++i) foregroundMeans[i] = meanIgnoringNaN(foreground[i]);
    Json foregroundMean = NnunetMeans::toJson(foregroundMeans);
    for (std::size_t m = 0; m < summary.metrics.size(); ++m)
        foregroundMean[summary.metrics[m].name] = number(summary.overStructures[m].mean);
    json["foreground_mean"] = std::move(foregroundMean);
    json["mean"] = std::move(means);
}

Json perCaseJson(const EvaluationSummary& summary) {
    Json cases = Json::array();
    for (const CaseEvaluation& one : summary.cases) {
        Json metrics = Json::object();
        for (const StructureMeasure& row : one.structures)
            metrics[std::to_string(row.label)] = caseMetrics(row, summary.metrics);
        cases.push_back({{"case", one.name},
                         {"reference_file", one.reference.string()},
                         {"prediction_file", one.prediction.string()},
                         {"metrics", std::move(metrics)}});
    }
    return cases;
}

Json structuresJson(const EvaluationSummary& summary) {
    Json structures = Json::array();
    for (const std::size_t i : structureRanking(summary)) {
        const StructureSummary& structure = summary.structures[i];
        Json entry{{"label", structure.label},
                   {"structure", structure.structure},
                   {"cases_with_reference", structure.casesWithReference},
                   {"detection_rates", numbers(structure.detectionRates)},
                   {"metrics", Json::object()}};
        for (std::size_t m = 0; m < summary.metrics.size(); ++m)
            entry["metrics"][summary.metrics[m].name] = statisticsJson(structure.statistics[m]);
        structures.push_back(std::move(entry));
    }
    return structures;
}

Json comparisonJson(const EvaluationSummary& summary) {
    Json rows = Json::array();
    for (const StructureComparison& row : summary.comparison) {
        Json entry{{"label", row.label}, {"structure", row.structure}, {"metrics", Json::object()}};
        for (std::size_t m = 0; m < summary.metrics.size(); ++m) {
            const PairedComparison& c = row.metrics[m];
            entry["metrics"][summary.metrics[m].name] = {{"prediction", statisticsJson(c.first)},
                                                         {"comparison", statisticsJson(c.second)},
                                                         {"difference", statisticsJson(c.difference)},
                                                         {"comparison_higher", c.better},
                                                         {"comparison_lower", c.worse},
                                                         {"equal", c.equal},
                                                         {"wilcoxon_statistic", number(c.test.statistic)},
                                                         {"wilcoxon_p", number(c.test.pValue)},
                                                         {"wilcoxon_exact", c.test.exact}};
        }
        rows.push_back(std::move(entry));
    }
    return rows;
}

}  // namespace

Json summaryJson(const EvaluationSummary& summary, const EvaluationRequest& request) {
    Json metricNames = Json::array();
    for (const Metric& metric : summary.metrics) metricNames.push_back(metric.name);
    Json json{{"medseg", version()},
              {"reference", request.reference.string()},
              {"prediction", request.prediction.string()},
              {"cases", summary.cases.size()},
              {"metrics", std::move(metricNames)},
              {"surface_definition", summary.surfaceDefinition},
              {"nsd_tolerance_mm", summary.nsdTolerance},
              {"iou_thresholds", numbers(summary.iouThresholds)},
              {"missing_predictions", summary.missingPredictions},
              {"predictions_without_reference", summary.predictionsWithoutReference}};
    addMeans(json, summary);
    Json over = Json::object();
    for (std::size_t m = 0; m < summary.metrics.size(); ++m)
        over[summary.metrics[m].name] = statisticsJson(summary.overStructures[m]);
    json["over_structures"] = std::move(over);
    json["detection_rates"] = numbers(summary.detectionRates);
    json["structures"] = structuresJson(summary);
    if (!summary.comparison.empty()) {
        json["comparison_with"] = request.comparison.string();
        json["comparison"] = comparisonJson(summary);
    }
    json["metric_per_case"] = perCaseJson(summary);
    return json;
}

void writeEvaluationFiles(const EvaluationSummary& summary, const EvaluationRequest& request) {
    writeTextFile(request.output / "per_case.csv", perCaseCsv(summary));
    writeTextFile(request.output / "per_structure.csv", perStructureCsv(summary));
    if (!summary.comparison.empty()) writeTextFile(request.output / "comparison.csv", comparisonCsv(summary));
    writeTextFile(request.output / "summary.json", summaryJson(summary, request).dump(1) + "\n");
}

}  // namespace medseg
