// Which probability should count as each structure: chosen on the validation slices.
#pragma once

#include "medseg/nn/network_module.h"

namespace medseg {

/// For every structure of a model with sigmoid outputs, the threshold of 0.05, 0.10 .. 0.95 with the highest Dice,
/// pooled over the validation slices of the cache (of equal ones that nearest to the recipe's predict.threshold).
/// Structures without reference pixels there keep the recipe's. Writes thresholds.json beside the checkpoint. Throws
/// UsageError for softmax outputs, DataError when the cache does not fit the model or holds no validation slices.
ThresholdOutcome searchThresholds(const ThresholdRequest& request);

}  // namespace medseg
