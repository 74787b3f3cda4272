// What evaluate() leaves behind: tables, JSON, and the shards of ranks that work together.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "medseg/metrics/evaluation.h"

namespace medseg {

bool endsWithNpz(const std::filesystem::path& path);

/// Writes per_case.csv, per_structure.csv, comparison.csv (if there is one) and summary.json, each atomically.
void writeEvaluationFiles(const EvaluationSummary& summary, const EvaluationRequest& request);

/// CSV cells: numbers with all their digits, "nan", "inf"; text quoted where it must be.
std::string perCaseCsv(const EvaluationSummary& summary);
std::string perStructureCsv(const EvaluationSummary& summary);
std::string comparisonCsv(const EvaluationSummary& summary);

/// The whole result. `mean`, `foreground_mean` and `metric_per_case` are laid out as nnU-Net's summary.json; NaN is
/// null, infinity the string "Infinity".
nlohmann::ordered_json summaryJson(const EvaluationSummary& summary, const EvaluationRequest& request);

/// A table for the terminal: structures by mean of the first metric, best first, the mean over structures at the end.
std::string summaryTable(const EvaluationSummary& summary);

/// Results of the ranks, in files of the output folder. A shard is only merged with shards of the same request and
/// inputs.
class ShardFiles {
  public:
    ShardFiles(const EvaluationRequest& request, const std::string& set, const std::vector<CasePair>& jobs);
    void write(const std::vector<CaseEvaluation>& cases) const;
    /// All cases by name once every rank has written its shard; nothing before. Ranks that end together may both merge:
    /// they write the same files.
    std::optional<std::vector<CaseEvaluation>> mergeIfComplete() const;

  private:
    std::filesystem::path pathOf(int rank) const;

    std::filesystem::path folder_;
    std::string fingerprint_;
    int rank_;
    int worldSize_;
};

}  // namespace medseg
