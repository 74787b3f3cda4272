#include "medseg/report/evaluation_charts.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/report/charts.h"

namespace medseg {
namespace {

namespace fs = std::filesystem;

/// The metric that the pictures show.
std::size_t chartMetric(const EvaluationSummary& summary) {
    return summary.metricIndex("dice").value_or(0);
}

/// Overlap scores lie between 0 and 1; the axis shows all of it, so that pictures of different runs compare.
Axis metricAxis(const Metric& metric) {
    Axis axis{.label = metric.name};
    if (metric.direction() > 0) axis.min = 0, axis.max = 1;
    return axis;
}

std::string caseCount(const EvaluationSummary& summary) {
    return summary.cases.size() == 1 ? "1 case" : fmt::format("{} cases", summary.cases.size());
}

std::vector<double> valuesOf(const EvaluationSummary& summary, const StructureSummary& structure, std::size_t metric) {
    std::vector<double> values;
    for (const CaseEvaluation& one : summary.cases)
        for (const StructureMeasure& row : one.structures)
            if (row.label == structure.label && row.structure == structure.structure &&
                std::isfinite(row.values[metric]))
                values.push_back(row.values[metric]);
    return values;
}

Canvas rankingChart(const EvaluationSummary& summary, std::size_t metric) {
    BarChart chart;
    chart.title = "Structures by mean " + summary.metrics[metric].name;
    chart.subtitle = caseCount(summary) + (summary.cases.size() > 1 ? "; whiskers: quartiles over cases" : "");
    chart.value = metricAxis(summary.metrics[metric]);
    for (const std::size_t i : structureRanking(summary, metric)) {
        const StructureSummary& structure = summary.structures[i];
        const SampleStatistics& statistics = structure.statistics[metric];
        Bar bar;
        bar.name = structure.structure;
        bar.value = statistics.mean;
        if (statistics.count > 1) {
            bar.low = statistics.lowerQuartile;
            bar.high = statistics.upperQuartile;
        }
        chart.bars.push_back(std::move(bar));
    }
    const double mean = summary.overStructures[metric].mean;
    if (!std::isnan(mean)) {
        chart.reference = mean;
        chart.referenceLabel = fmt::format("mean {:.3f}", mean);
    }
    return renderBarChart(chart);
}

Canvas structureHistogram(const EvaluationSummary& summary, std::size_t metric) {
    HistogramChart chart;
    chart.title = "Distribution of " + summary.metrics[metric].name + " over structures";
    chart.subtitle = caseCount(summary);
    chart.value = metricAxis(summary.metrics[metric]);
    chart.countLabel = "structures";
    Distribution all;
    all.name = summary.metrics[metric].name;
    for (const StructureSummary& structure : summary.structures)
        all.values.push_back(structure.statistics[metric].mean);
    chart.groups.push_back(std::move(all));
    return renderHistogram(chart);
}

Canvas caseDistributions(const EvaluationSummary& summary, std::size_t metric) {
    DistributionChart chart;
    chart.title = "Distribution of " + summary.metrics[metric].name + " over cases";
    chart.subtitle = caseCount(summary);
    chart.value = metricAxis(summary.metrics[metric]);
    for (const std::size_t i : structureRanking(summary, metric)) {
        Distribution group;
        group.name = summary.structures[i].structure;
        group.values = valuesOf(summary, summary.structures[i], metric);
        if (!group.values.empty()) chart.groups.push_back(std::move(group));
    }
    return renderDistributionChart(chart);
}

Canvas detectionChart(const EvaluationSummary& summary) {
    GroupedBarChart chart;
    chart.title = "Structures found";
    chart.subtitle = "share of structures present in the reference, " + caseCount(summary);
    chart.value = Axis{.label = "detection rate", .min = 0, .max = 1};
    chart.categoryLabel = "IoU at least";
    for (const double threshold : summary.iouThresholds) chart.categories.push_back(fmt::format("{}", threshold));
    chart.series.push_back({"detection rate", summary.detectionRates, {}});
    return renderGroupedBars(chart);
}

bool hasValues(const EvaluationSummary& summary, std::size_t metric) {
    return std::any_of(summary.structures.begin(), summary.structures.end(),
                       [&](const StructureSummary& structure) { return structure.statistics[metric].count > 0; });
}

}  // namespace

std::vector<fs::path> writeEvaluationCharts(const EvaluationSummary& summary, const fs::path& folder) {
    std::vector<fs::path> files;
    if (!summary.isComplete || summary.structures.empty()) return files;
    const auto write = [&](const Canvas& canvas, const char* name) {
        canvas.writePng(folder / name);
        files.push_back(folder / name);
    };
    const std::size_t metric = chartMetric(summary);
    if (hasValues(summary, metric)) {
        write(rankingChart(summary, metric), "structure_ranking.png");
        write(summary.cases.size() == 1 ? structureHistogram(summary, metric) : caseDistributions(summary, metric),
              "metrics_distribution.png");
    }
    if (!summary.iouThresholds.empty()) write(detectionChart(summary), "detection_rates.png");
    return files;
}

}  // namespace medseg
