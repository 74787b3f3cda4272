#include "medseg/train/training_task.h"

#include "medseg/nn/tensor_bridge.h"

namespace medseg {

void TrainingTask::addWeights(PickleValue& checkpoint) {
    checkpoint.set("model_state_dict", stateDictOf(network()));
}

void TrainingTask::loadWeights(const PickleValue& checkpoint, const std::filesystem::path& file) {
    loadStateDict(network(), checkpoint.at("model_state_dict"), file.string());
}

}  // namespace medseg
