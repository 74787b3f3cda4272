#include "medseg/metrics/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "medseg/base/logging.h"

namespace medseg {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Key = std::pair<int, std::string>;

Key keyOf(const StructureMeasure& measure) {
    return {measure.label, measure.structure};
}

bool takesPart(const StructureMeasure& measure, std::int64_t minimumVoxels) {
    return minimumVoxels <= 0 || measure.counts.reference >= minimumVoxels;
}

/// All measures of each structure, in the order of cases.
std::map<Key, std::vector<const StructureMeasure*>> byStructure(const std::vector<CaseEvaluation>& cases,
                                                                std::int64_t minimumVoxels) {
    std::map<Key, std::vector<const StructureMeasure*>> groups;
    for (const CaseEvaluation& one : cases)
        for (const StructureMeasure& measure : one.structures) {
            auto& group = groups[keyOf(measure)];
            if (takesPart(measure, minimumVoxels)) group.push_back(&measure);
        }
    return groups;
}

std::vector<double> valuesOf(const std::vector<const StructureMeasure*>& measures, std::size_t metric) {
    std::vector<double> values;
    for (const StructureMeasure* measure : measures) values.push_back(measure->values[metric]);
    return values;
}

/// Share of structures that are in the reference and reach the IoU threshold.
class DetectionCounter {
  public:
    explicit DetectionCounter(const std::vector<double>& thresholds)
        : thresholds_(thresholds), detected_(thresholds.size(), 0) {}
    void add(const StructureMeasure& measure) {
        if (measure.counts.reference == 0) return;
        ++total_;
        for (std::size_t i = 0; i < thresholds_.size(); ++i)
            if (measure.iou >= thresholds_[i]) ++detected_[i];
    }
    std::int64_t total() const { return total_; }
    std::vector<double> rates() const {
        std::vector<double> rates;
        for (const std::int64_t detected : detected_)
            rates.push_back(total_ == 0 ? kNaN : static_cast<double>(detected) / static_cast<double>(total_));
        return rates;
    }

  private:
    const std::vector<double>& thresholds_;
    std::vector<std::int64_t> detected_;
    std::int64_t total_ = 0;
};

void warnAboutInfinite(const EvaluationSummary& summary) {
    std::int64_t infinite = 0;
    for (const StructureSummary& structure : summary.structures)
        for (const SampleStatistics& statistics : structure.statistics)
            infinite = std::max(infinite, statistics.countInfinite);
    if (infinite > 0)
        logWarning(
            "some distances are infinite because the structure is missing on one side: they take no part in the means "
            "(column n_infinite counts them)");
}

std::vector<double> caseMeans(const std::vector<CaseEvaluation>& cases, std::size_t metric,
                              const std::map<std::string, std::map<Key, const StructureMeasure*>>& other,
                              bool ofOther) {
    std::vector<double> means;
    for (const CaseEvaluation& one : cases) {
        const auto partner = other.find(one.name);
        if (partner == other.end()) continue;
        std::vector<double> values;
        for (const StructureMeasure& measure : one.structures) {
            const auto found = partner->second.find(keyOf(measure));
            if (found == partner->second.end()) continue;
            const double a = measure.values[metric];
            const double b = found->second->values[metric];
            // Only structures that both predictions have a value for, or the means would be about different structures.
            if (std::isfinite(a) && std::isfinite(b)) values.push_back(ofOther ? b : a);
        }
        means.push_back(meanIgnoringNaN(values));
    }
    return means;
}

}  // namespace

void summarise(EvaluationSummary& summary, const EvaluationRequest& request) {
    const auto groups = byStructure(summary.cases, request.minimumVoxels);
    DetectionCounter overall(summary.iouThresholds);
    for (const auto& [key, measures] : groups) {
        StructureSummary structure{key.first, key.second, {}, 0, {}};
        for (std::size_t metric = 0; metric < summary.metrics.size(); ++metric)
            structure.statistics.push_back(statisticsOf(valuesOf(measures, metric), request.bootstrap));
        DetectionCounter counter(summary.iouThresholds);
        for (const StructureMeasure* measure : measures) {
            counter.add(*measure);
            overall.add(*measure);
        }
        structure.casesWithReference = counter.total();
        structure.detectionRates = counter.rates();
        summary.structures.push_back(std::move(structure));
    }
    summary.detectionRates = overall.rates();
    for (std::size_t metric = 0; metric < summary.metrics.size(); ++metric) {
        std::vector<double> means;
        for (const StructureSummary& structure : summary.structures) means.push_back(structure.statistics[metric].mean);
        summary.overStructures.push_back(statisticsOf(means, request.bootstrap));
    }
    warnAboutInfinite(summary);
}

std::vector<StructureComparison> compareSets(const EvaluationSummary& summary,
                                             const std::vector<CaseEvaluation>& second,
                                             const EvaluationRequest& request) {
    std::map<std::string, std::map<Key, const StructureMeasure*>> other;
    for (const CaseEvaluation& one : second)
        for (const StructureMeasure& measure : one.structures) other[one.name][keyOf(measure)] = &measure;

    // For each structure the values of both sets, in the order of cases.
    using Samples = std::pair<std::vector<double>, std::vector<double>>;
    const std::size_t metrics = summary.metrics.size();
    std::map<Key, std::vector<Samples>> samples;
    std::vector<Samples> allRows(metrics);
    for (const CaseEvaluation& one : summary.cases) {
        const auto partner = other.find(one.name);
        if (partner == other.end()) continue;
        for (const StructureMeasure& measure : one.structures) {
            const auto found = partner->second.find(keyOf(measure));
            if (found == partner->second.end() || !takesPart(measure, request.minimumVoxels)) continue;
            auto& group = samples.try_emplace(keyOf(measure), metrics).first->second;
            for (std::size_t metric = 0; metric < metrics; ++metric)
                for (Samples* target : {&group[metric], &allRows[metric]}) {
                    target->first.push_back(measure.values[metric]);
                    target->second.push_back(found->second->values[metric]);
                }
        }
    }
    std::vector<StructureComparison> comparisons(2);
    comparisons[0].structure = "mean of structures";
    comparisons[1].structure = "all rows";
    for (std::size_t metric = 0; metric < metrics; ++metric) {
        comparisons[0].metrics.push_back(comparePaired(caseMeans(summary.cases, metric, other, false),
                                                       caseMeans(summary.cases, metric, other, true),
                                                       request.bootstrap));
        comparisons[1].metrics.push_back(
            comparePaired(allRows[metric].first, allRows[metric].second, request.bootstrap));
    }
    for (const auto& [key, group] : samples) {
        StructureComparison comparison{key.first, key.second, {}};
        for (const Samples& one : group)
            comparison.metrics.push_back(comparePaired(one.first, one.second, request.bootstrap));
        comparisons.push_back(std::move(comparison));
    }
    return comparisons;
}

std::vector<std::size_t> structureRanking(const EvaluationSummary& summary, std::size_t metric) {
    std::vector<std::size_t> order(summary.structures.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (metric >= summary.metrics.size()) return order;
    const double sign = summary.metrics[metric].direction() < 0 ? -1 : 1;
    const auto rank = [&](std::size_t i) {
        const double mean = summary.structures[i].statistics[metric].mean;
        return std::isnan(mean) ? -std::numeric_limits<double>::infinity() : sign * mean;
    };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rank(a) > rank(b); });
    return order;
}

}  // namespace medseg
