#include "medseg/metrics/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/base/threads.h"
#include "medseg/io/image_file.h"
#include "medseg/metrics/case_evaluation.h"
#include "medseg/metrics/evaluation_files.h"
#include "medseg/metrics/label_selection.h"
#include "medseg/metrics/summary.h"

namespace medseg {
namespace {

/// Volumes held in memory at once grow with this.
constexpr std::int64_t kLargestBatch = 8;

/// Names known before anything is measured: the user's table, or those of the first case.
LabelTable knownLabels(const CasePairing& pairing, const LabelTable& userTable) {
    if (!userTable.empty()) return userTable;
    for (const CasePair& pair : pairing.pairs)
        for (const CaseSource* source : {&pair.reference, &pair.prediction}) {
            if (source->isStructureFolder) {
                std::vector<std::string> names;
                for (const auto& [name, path] : structureMasks(source->path)) names.push_back(name);
                return LabelTable::fromNames(names);
            }
            if (endsWithNpz(source->path)) continue;
            LabelTable table = readImageHeader(source->path).labels;
            if (!table.empty()) return table;
        }
    return {};
}

CaseSettings caseSettings(const EvaluationRequest& request, const CasePairing& pairing) {
    CaseSettings settings;
    settings.metrics = parseMetrics(request.metrics, request.nsdTolerance);
    if (!request.labelTable.empty()) settings.table = readLabelTable(request.labelTable);
    if (!request.labels.empty()) settings.selected = selectLabels(request.labels, knownLabels(pairing, settings.table));
    settings.bothEmpty = request.bothEmpty;
    settings.surfaceDefinition = request.surfaceDefinition;
    settings.lesionIou = request.lesionIou;
    return settings;
}

std::string joinNames(const std::vector<CaseSource>& sources) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < sources.size() && i < 5; ++i) names.push_back(sources[i].name);
    return fmt::format("{}{}", fmt::join(names, ", "), sources.size() > 5 ? ", ..." : "");
}

void checkPairing(const EvaluationRequest& request, const CasePairing& pairing) {
    const std::size_t missing = pairing.missingPredictions.size();
    if (missing > 0) {
        const std::string what = fmt::format("no prediction for {} of {} reference cases ({})", missing,
                                             missing + pairing.pairs.size(), joinNames(pairing.missingPredictions));
        if (request.missingPrediction == MissingPrediction::Error)
            throw DataError(request.prediction.string(),
                            what + ": add them, or choose --missing skip or --missing empty");
        logWarning("{}: {}: {}", request.prediction.string(), what,
                   request.missingPrediction == MissingPrediction::Skip ? "left out" : "scored as empty");
    }
    if (!pairing.predictionsWithoutReference.empty())
        logWarning("{}: {} predictions have no reference and are not evaluated ({})", request.prediction.string(),
                   pairing.predictionsWithoutReference.size(), joinNames(pairing.predictionsWithoutReference));
    if (pairing.pairs.empty() && request.missingPrediction != MissingPrediction::Empty)
        throw DataError(
            request.prediction.string(),
            fmt::format("no case of it is also in {}: cases are paired by name", request.reference.string()));
}

/// One job a case, in the order of names.
std::vector<CasePair> jobsOf(const EvaluationRequest& request, const CasePairing& pairing) {
    std::vector<CasePair> jobs = pairing.pairs;
    if (request.missingPrediction == MissingPrediction::Empty)
        for (const CaseSource& reference : pairing.missingPredictions) jobs.push_back({reference, {}});
    std::sort(jobs.begin(), jobs.end(), [](const CasePair& a, const CasePair& b) { return a.name() < b.name(); });
    return jobs;
}

std::vector<CaseEvaluation> measureCases(const EvaluationRequest& request, const std::vector<CasePair>& jobs,
                                         const CaseSettings& settings) {
    std::vector<CasePair> own;
    for (std::size_t i = request.rank; i < jobs.size(); i += request.worldSize) own.push_back(jobs[i]);
    std::vector<CaseEvaluation> results(own.size());
    const auto count = static_cast<std::int64_t>(own.size());
    const std::int64_t batch = std::clamp<std::int64_t>(threadCount(), 1, kLargestBatch);
    std::optional<Progress> progress;
    if (count > 1) progress.emplace("evaluate", count, "cases");
    for (std::int64_t first = 0; first < count; first += batch) {
        parallelForEach(first, std::min(count, first + batch), [&](std::int64_t i) {
            throwIfInterrupted();
            results[i] = own[i].prediction.path.empty() ? evaluateMissingPrediction(own[i].reference, settings)
                                                        : evaluateCase(own[i], settings);
            if (progress) progress->advance();
        });
    }
    return results;
}

/// Every structure of the whole set in every case, so that the tables are rectangular.
void addAbsentStructures(std::vector<CaseEvaluation>& cases, const CaseSettings& settings) {
    using Key = std::pair<int, std::string>;
    std::set<Key> all;
    for (const CaseEvaluation& one : cases)
        for (const StructureMeasure& structure : one.structures) all.insert({structure.label, structure.structure});
    for (const Label& label : settings.selected.labels()) {
        const bool isThere =
            std::any_of(all.begin(), all.end(), [&](const Key& key) { return key.second == label.name; });
        if (!isThere) all.insert({label.id, label.name});
    }
    for (CaseEvaluation& one : cases) {
        std::map<Key, StructureMeasure> present;
        const std::int64_t voxels = one.structures.empty() ? 0 : one.structures.front().counts.total;
        for (StructureMeasure& structure : one.structures)
            present.emplace(Key{structure.label, structure.structure}, std::move(structure));
        one.structures.clear();
        for (const Key& key : all) {
            const auto found = present.find(key);
            one.structures.push_back(found != present.end() ? std::move(found->second)
                                                            : absentStructure(key.first, key.second, voxels, settings));
        }
    }
}

void rejectBadRequest(const EvaluationRequest& request) {
    for (const double threshold : request.iouThresholds)
        if (!(threshold > 0 && threshold <= 1))
            throw UsageError(fmt::format("IoU threshold {}: thresholds lie above 0 and up to 1", threshold));
    if (!(request.nsdTolerance >= 0) || std::isinf(request.nsdTolerance))
        throw UsageError(fmt::format("NSD tolerance {}: it is a distance in mm, 0 or more", request.nsdTolerance));
    if (request.worldSize < 1 || request.rank < 0 || request.rank >= request.worldSize)
        throw UsageError(fmt::format("rank {} of {}: ranks count from 0", request.rank, request.worldSize));
    if (request.worldSize > 1 && request.output.empty())
        throw UsageError("several ranks need an output folder to merge their results in");
}

/// Measures one prediction set, or on several ranks a shard of it; nothing while other shards are missing.
std::optional<std::vector<CaseEvaluation>> measureSet(const EvaluationRequest& request, const CasePairing& pairing,
                                                      const CaseSettings& settings, const std::string& set) {
    const std::vector<CasePair> jobs = jobsOf(request, pairing);
    if (request.worldSize == 1) return measureCases(request, jobs, settings);
    const ShardFiles shards(request, set, jobs);
    if (!request.mergeOnly) shards.write(measureCases(request, jobs, settings));
    return shards.mergeIfComplete();
}

}  // namespace

std::optional<std::size_t> EvaluationSummary::metricIndex(const std::string& name) const {
    for (std::size_t i = 0; i < metrics.size(); ++i)
        if (metrics[i].name == name) return i;
    return std::nullopt;
}

EvaluationSummary evaluate(const EvaluationRequest& request) {
    rejectBadRequest(request);
    const CasePairing pairing = pairCases(request.reference, request.prediction, request.layout);
    checkPairing(request, pairing);
    const CaseSettings settings = caseSettings(request, pairing);
    if (!request.output.empty()) createDirectories(request.output);

    EvaluationSummary summary;
    summary.metrics = settings.metrics;
    summary.iouThresholds = request.iouThresholds;
    summary.surfaceDefinition = nameOf(request.surfaceDefinition);
    summary.nsdTolerance = request.nsdTolerance;
    for (const CaseSource& source : pairing.missingPredictions) summary.missingPredictions.push_back(source.name);
    for (const CaseSource& source : pairing.predictionsWithoutReference)
        summary.predictionsWithoutReference.push_back(source.name);

    auto cases = measureSet(request, pairing, settings, "prediction");
    std::optional<std::vector<CaseEvaluation>> compared;
    if (!request.comparison.empty()) {
        EvaluationRequest second = request;
        second.prediction = request.comparison;
        const CasePairing secondPairing = pairCases(second.reference, second.prediction, second.layout);
        checkPairing(second, secondPairing);
        compared = measureSet(second, secondPairing, settings, "comparison");
    }
    if (!cases || (!request.comparison.empty() && !compared)) {
        summary.isComplete = false;
        return summary;
    }
    summary.cases = std::move(*cases);
    addAbsentStructures(summary.cases, settings);
    summarise(summary, request);
    if (compared) {
        addAbsentStructures(*compared, settings);
        summary.comparison = compareSets(summary, *compared, request);
    }
    if (!request.output.empty()) writeEvaluationFiles(summary, request);
    return summary;
}

}  // namespace medseg
