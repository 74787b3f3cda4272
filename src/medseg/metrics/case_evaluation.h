// Measuring one case.
#pragma once

#include "medseg/metrics/case_labels.h"
#include "medseg/metrics/evaluation.h"

namespace medseg {

/// What is the same for all cases.
struct CaseSettings {
    std::vector<Metric> metrics;
    LabelTable table;     ///< names of ids given by the user; empty: names from the files
    LabelTable selected;  ///< structures to measure; empty: all that occur
    BothEmpty bothEmpty = BothEmpty::NaN;
    SurfaceDefinition surfaceDefinition = SurfaceDefinition::DeepMind;
    double lesionIou = 0.5;
};

/// Two ids in two maps that mean the same structure; 0: the map does not have it.
struct MatchedStructure {
    int label = 0;
    std::string name;
    int referenceId = 0;
    int predictionId = 0;
};

/// Measures every structure that occurs in reference or prediction (or is selected). Ids are matched by name where both
/// files name their labels, else by value. Throws DataError for geometries that differ.
CaseEvaluation evaluateCase(const CasePair& pair, const CaseSettings& settings);

/// Scores the case as if nothing had been predicted.
CaseEvaluation evaluateMissingPrediction(const CaseSource& reference, const CaseSettings& settings);

/// All values of one structure. `confusion` with boxes where a metric needs surfaces or lesions.
StructureMeasure measureStructure(const LabelImage& reference, const LabelImage& prediction,
                                  const MatchedStructure& structure, const Confusion& confusion,
                                  const CaseSettings& settings);

/// The values of a structure that neither side has: NaN, volumes and lesion counts 0, Dice and IoU by
/// settings.bothEmpty.
StructureMeasure absentStructure(int label, const std::string& name, std::int64_t voxels, const CaseSettings& settings);

}  // namespace medseg
