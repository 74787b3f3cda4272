// From which probability each structure counts.
#pragma once

#include <vector>

#include "medseg/nn/model_file.h"
#include "medseg/nn/network_module.h"

namespace medseg {

/// One a structure, as the options say: those searched for the model (nn/threshold_file.h), the options' own, or that
/// of the model's recipe. Empty with softmax outputs, where the most probable wins. Throws as readThresholds().
std::vector<double> thresholdsFor(const LoadedModel& model, const SegmenterOptions& options);

}  // namespace medseg
