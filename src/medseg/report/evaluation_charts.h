// Pictures of an evaluation.
#pragma once

#include <filesystem>
#include <vector>

#include "medseg/metrics/evaluation.h"

namespace medseg {

/// Draws into `folder`, atomically, and returns the files:
/// - structure_ranking.png: mean of the first metric (Dice where it was measured) of every structure, best first, with
/// the
///   quartiles over cases;
/// - metrics_distribution.png: the values of that metric over cases, a row a structure (or, for a single case, a
/// histogram
///   over structures);
/// - detection_rates.png: share of structures in the reference that are found, at each IoU threshold.
/// Nothing is drawn for an incomplete or empty summary. Throws WorkError.
std::vector<std::filesystem::path> writeEvaluationCharts(const EvaluationSummary& summary,
                                                         const std::filesystem::path& folder);

}  // namespace medseg
