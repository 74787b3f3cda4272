#include <cmath>

#include <fmt/format.h>

#include "medseg/metrics/evaluation_files.h"

namespace medseg {
namespace {

std::string cell(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    return fmt::format("{}", value);
}

std::string cell(const std::string& text) {
    if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

}  // namespace

std::string perCaseCsv(const EvaluationSummary& summary) {
    std::string csv = "case,label,structure";
    for (const Metric& metric : summary.metrics) (csv += ',') += cell(metric.name);
    csv += ",tp,fp,fn,voxels_reference,voxels_prediction\n";
    for (const CaseEvaluation& one : summary.cases)
        for (const StructureMeasure& row : one.structures) {
            csv += fmt::format("{},{},{}", cell(one.name), row.label, cell(row.structure));
            for (const double value : row.values) (csv += ',') += cell(value);
            csv += fmt::format(",{},{},{},{},{}\n", row.counts.truePositives(), row.counts.falsePositives(),
                               row.counts.falseNegatives(), row.counts.reference, row.counts.prediction);
        }
    return csv;
}

std::string perStructureCsv(const EvaluationSummary& summary) {
    std::string csv = "label,structure,metric,mean,median,std,ci_low,ci_high,min,max,n,n_undefined,n_infinite";
    csv += ",cases_with_reference";
    for (const double threshold : summary.iouThresholds) csv += fmt::format(",detection_rate_iou_{}", threshold);
    csv += "\n";
    const auto addRow = [&](const std::string& label, const std::string& structure, const std::string& metric,
                            const SampleStatistics& s, std::int64_t cases, const std::vector<double>& rates) {
        csv +=
            fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}", label, cell(structure), cell(metric), cell(s.mean),
                        cell(s.median), cell(s.standardDeviation), cell(s.confidenceLow), cell(s.confidenceHigh),
                        cell(s.minimum), cell(s.maximum), s.count, s.countNaN, s.countInfinite, cases);
        for (const double rate : rates) (csv += ',') += cell(rate);
        csv += "\n";
    };
    for (const std::size_t i : structureRanking(summary)) {
        const StructureSummary& structure = summary.structures[i];
        for (std::size_t m = 0; m < summary.metrics.size(); ++m)
            addRow(std::to_string(structure.label), structure.structure, summary.metrics[m].name,
                   structure.statistics[m], structure.casesWithReference, structure.detectionRates);
    }
    std::int64_t withReference = 0;
    for (const StructureSummary& structure : summary.structures) withReference += structure.casesWithReference;
    for (std::size_t m = 0; m < summary.metrics.size(); ++m)
        addRow("", "mean of structures", summary.metrics[m].name, summary.overStructures[m], withReference,
               summary.detectionRates);
    return csv;
}

std::string comparisonCsv(const EvaluationSummary& summary) {
    std::string csv =
        "label,structure,metric,n,mean_prediction,mean_comparison,mean_difference,median_difference,ci_low,ci_high,"
        "comparison_higher,comparison_lower,equal,wilcoxon_statistic,wilcoxon_p,wilcoxon_exact\n";
    for (const StructureComparison& row : summary.comparison)
        for (std::size_t m = 0; m < summary.metrics.size(); ++m) {
            const PairedComparison& c = row.metrics[m];
            csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
                               row.label > 0 ? std::to_string(row.label) : "", cell(row.structure),
                               cell(summary.metrics[m].name), c.difference.count, cell(c.first.mean),
                               cell(c.second.mean), cell(c.difference.mean), cell(c.difference.median),
                               cell(c.difference.confidenceLow), cell(c.difference.confidenceHigh), c.better, c.worse,
                               c.equal, cell(c.test.statistic), cell(c.test.pValue), c.test.exact);
        }
    return csv;
}

}  // namespace medseg
