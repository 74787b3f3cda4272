// From measured cases to the numbers of a paper.
#pragma once

#include "medseg/metrics/evaluation.h"

namespace medseg {

/// Fills structures, overStructures and detectionRates of `summary` from its cases, metrics and thresholds.
void summarise(EvaluationSummary& summary, const EvaluationRequest& request);

/// Pairs every (case, structure) of summary.cases with `second`; rows that one of them lacks are left out. The first
/// two entries are about all structures: their mean in each case, and every row.
std::vector<StructureComparison> compareSets(const EvaluationSummary& summary,
                                             const std::vector<CaseEvaluation>& second,
                                             const EvaluationRequest& request);

}  // namespace medseg
