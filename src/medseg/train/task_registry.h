// Which task trains which family of networks.
#pragma once

#include <memory>

#include "medseg/nn/network_module.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// The task of model.kind in the recipe. Throws UsageError for a family that cannot be trained, and what the task's
/// constructor throws.
std::unique_ptr<TrainingTask> makeTrainingTask(const TrainRequest& request);

}  // namespace medseg
