// Measuring what a run predicted for the held-out cases.
#pragma once

#include "medseg/metrics/evaluation.h"
#include "medseg/pipeline/stage.h"

namespace medseg {

/// Compares folders.measured/reference with folders.measured/prediction as the recipe's section evaluate says; tables
/// and charts go to folders.evaluation. Throws as evaluate().
EvaluationSummary evaluateMeasured(const EvaluateSettings& settings, const RunFolders& folders);

}  // namespace medseg
