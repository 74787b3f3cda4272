// Measuring a prompted network on the npz cases that `medseg prepare --form medsam` writes, as MedSAM is evaluated.
#pragma once

#include "medseg/infer/prompted_model.h"

namespace medseg {

/// See NetworkModule::evaluatePrompted.
PromptedEvaluation evaluatePromptedCases(PromptedModel& model, const PromptedEvaluationRequest& request);

}  // namespace medseg
