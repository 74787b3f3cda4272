// Which models can vote together, and which work on slices.
#pragma once

#include "medseg/nn/model_file.h"

namespace medseg {

/// Throws DataError, naming both files and the difference, unless both models have the same structures, outputs,
/// dimensions, inputs and preparation.
void requireSameTask(const LoadedModel& a, const LoadedModel& b);

/// Throws UsageError, naming the file and `what` was asked for, unless the model works on slices.
void requireSliceNetwork(const LoadedModel& model, const char* what);

}  // namespace medseg
