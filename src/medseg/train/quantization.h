// Post-training quantisation: calibrates a model's activations on its training slices.
#pragma once

#include "medseg/nn/network_module.h"

namespace medseg {

/// Runs `request.slices` slices, spread evenly over the training part of the cache, and writes quantization.json beside
/// the checkpoint. Throws UsageError for a network that the engine cannot run in 8 bits, DataError when the cache does
/// not fit the model.
QuantizeOutcome quantizeModel(const QuantizeRequest& request);

}  // namespace medseg
