// Measuring predictions against references: from files to numbers. `medseg evaluate`, `medseg run` and `medseg demo`
// all call evaluate().
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/metrics/aggregation.h"
#include "medseg/metrics/case_pairing.h"
#include "medseg/metrics/metric.h"
#include "medseg/metrics/overlap.h"
#include "medseg/metrics/surface.h"

namespace medseg {

/// What to do with a reference case that has no prediction.
enum class MissingPrediction {
    Error,  ///< stop before measuring (DataError)
    Skip,   ///< leave the case out; it is listed in the summary
    Empty,  ///< score it as a prediction without any structure
};

struct EvaluationRequest {
    std::filesystem::path reference;  ///< see findCases() for what may be given
    std::filesystem::path prediction;
    std::filesystem::path comparison;  ///< a second prediction, compared with the first pair by pair; may be empty
    std::filesystem::path output;      ///< folder for the tables; empty: nothing is written
    CaseLayout layout = CaseLayout::Auto;
    std::vector<std::string> metrics{"dice", "iou", "hd95", "assd", "nsd", "volume"};
    std::vector<std::string> labels;   ///< names or ids to evaluate; empty: all that occur
    std::filesystem::path labelTable;  ///< names of the ids (readLabelTable()); empty: names from the files
    MissingPrediction missingPrediction = MissingPrediction::Error;
    BothEmpty bothEmpty = BothEmpty::NaN;  ///< Dice and IoU where neither side has the structure
    SurfaceDefinition surfaceDefinition = SurfaceDefinition::DeepMind;
    double nsdTolerance = 1;                                       ///< mm
    double lesionIou = 0.5;                                        ///< a lesion counts as found from this IoU on
    std::vector<double> iouThresholds{0.1, 0.25, 0.5, 0.75, 0.9};  ///< of the detection rates
    std::int64_t minimumVoxels = 0;  ///< structures with a smaller reference take no part in the summary
    BootstrapOptions bootstrap;
    int rank = 0;            ///< this process measures cases rank, rank + worldSize, ...
    int worldSize = 1;       ///< more than 1: shards are written to `output` and merged once all are there
    bool mergeOnly = false;  ///< only merge the shards that lie in `output`
};

/// One structure in one case.
struct StructureMeasure {
    int label = 0;
    std::string structure;
    OverlapCounts counts;
    double iou = 0;              ///< NaN where neither side has the structure; the detection rates rest on it
    std::vector<double> values;  ///< one a metric; NaN: not defined, infinite: a surface is missing
};

struct CaseEvaluation {
    std::string name;
    std::filesystem::path reference;
    std::filesystem::path prediction;          ///< empty for a missing prediction that is scored as empty
    std::vector<StructureMeasure> structures;  ///< by label; every structure of the whole set is listed
};

/// One structure over all cases.
struct StructureSummary {
    int label = 0;
    std::string structure;
    std::vector<SampleStatistics> statistics;  ///< one a metric
    std::int64_t casesWithReference = 0;
    std::vector<double>
        detectionRates;  ///< share of casesWithReference with IoU >= threshold, one a threshold; NaN if none
};

/// Prediction 1 against prediction 2 for one structure, or for all ("mean of structures": one value a case; "all rows":
/// every structure of every case).
struct StructureComparison {
    int label = 0;  ///< 0 for the two rows about all
    std::string structure;
    std::vector<PairedComparison> metrics;  ///< one a metric
};

struct EvaluationSummary {
    std::vector<Metric> metrics;
    std::vector<double> iouThresholds;
    std::string surfaceDefinition;
    double nsdTolerance = 1;
    std::vector<CaseEvaluation> cases;             ///< by name
    std::vector<StructureSummary> structures;      ///< by label
    std::vector<SampleStatistics> overStructures;  ///< one a metric: statistics of the structures' means
    std::vector<double> detectionRates;            ///< over all rows with a reference, one a threshold
    std::vector<std::string> missingPredictions;
    std::vector<std::string> predictionsWithoutReference;
    std::vector<StructureComparison> comparison;  ///< with EvaluationRequest::comparison
    bool isComplete = true;  ///< false on a rank that has written its shard while others are still at work

    /// Position of a metric, or nothing.
    std::optional<std::size_t> metricIndex(const std::string& name) const;
};

/// Reads, measures, aggregates, and writes per_case.csv, per_structure.csv, comparison.csv (with a comparison) and
/// summary.json into the output folder, each atomically. Throws DataError (exit 3) for geometries that differ, files
/// that cannot be read and missing predictions, UsageError (exit 2) for unknown metrics and labels.
EvaluationSummary evaluate(const EvaluationRequest& request);

/// Structures by mean of `metric`, best first, structures without a value last: positions in summary.structures.
std::vector<std::size_t> structureRanking(const EvaluationSummary& summary, std::size_t metric = 0);

}  // namespace medseg
