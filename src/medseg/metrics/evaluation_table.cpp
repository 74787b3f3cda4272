#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/metrics/evaluation_files.h"

namespace medseg {
namespace {

std::string shown(double value) {
    if (std::isnan(value)) return "-";
    if (std::isinf(value)) return "inf";
    return std::abs(value) < 10 ? fmt::format("{:.4f}", value) : fmt::format("{:.2f}", value);
}

std::size_t nameWidth(const EvaluationSummary& summary) {
    std::size_t width = std::string("mean of structures").size();
    for (const StructureSummary& structure : summary.structures) width = std::max(width, structure.structure.size());
    return width;
}

std::string comparisonTable(const EvaluationSummary& summary, std::size_t width) {
    std::string text = fmt::format("\n{:<{}}  {:<22} {:>5} {:>10} {:>10} {:>10} {:>9}\n", "comparison", width, "metric",
                                   "n", "prediction", "comparison", "difference", "p");
    for (const StructureComparison& row : summary.comparison)
        for (std::size_t m = 0; m < summary.metrics.size(); ++m) {
            const PairedComparison& c = row.metrics[m];
            text += fmt::format("{:<{}}  {:<22} {:>5} {:>10} {:>10} {:>10} {:>9}\n", row.structure, width,
                                summary.metrics[m].name, c.difference.count, shown(c.first.mean), shown(c.second.mean),
                                shown(c.difference.mean),
                                std::isnan(c.test.pValue) ? "-" : fmt::format("{:.3g}", c.test.pValue));
        }
    return text;
}

}  // namespace

std::string summaryTable(const EvaluationSummary& summary) {
    const std::size_t width = nameWidth(summary);
    std::vector<std::size_t> shownMetrics;  // what can be good or bad; volumes and counts are in the CSV
    for (std::size_t m = 0; m < summary.metrics.size(); ++m)
        if (summary.metrics[m].direction() != 0) shownMetrics.push_back(m);
    const auto columnWidth = [&](std::size_t m) { return std::max<std::size_t>(8, summary.metrics[m].name.size()); };
    std::string text = fmt::format("{:<{}} {:>5}", "structure", width, "n");
    for (const std::size_t m : shownMetrics) text += fmt::format("  {:>{}}", summary.metrics[m].name, columnWidth(m));
    for (const double threshold : summary.iouThresholds)
        text += fmt::format("  {:>8}", fmt::format("IoU>={}", threshold));
    text += "\n";

    const auto addRow = [&](const std::string& name, std::int64_t n, const std::vector<SampleStatistics>& statistics,
                            const std::vector<double>& rates) {
        text += fmt::format("{:<{}} {:>5}", name, width, n);
        for (const std::size_t m : shownMetrics)
            text += fmt::format("  {:>{}}", shown(statistics[m].mean), columnWidth(m));
        for (const double rate : rates)
            text += fmt::format("  {:>8}", std::isnan(rate) ? "-" : fmt::format("{:.0f} %", 100 * rate));
        text += "\n";
    };
    for (const std::size_t i : structureRanking(summary)) {
        const StructureSummary& structure = summary.structures[i];
        addRow(structure.structure, structure.statistics.front().count, structure.statistics, structure.detectionRates);
    }
    addRow("mean of structures", summary.overStructures.front().count, summary.overStructures, summary.detectionRates);
    if (!summary.comparison.empty()) text += comparisonTable(summary, width);
    return text;
}

}  // namespace medseg
