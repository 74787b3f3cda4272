// From image files to label files.
#pragma once

#include "medseg/nn/network_module.h"

namespace medseg {

/// See NetworkModule::predict.
PredictOutcome predictFiles(Segmenter& segmenter, const PredictRequest& request);

}  // namespace medseg
