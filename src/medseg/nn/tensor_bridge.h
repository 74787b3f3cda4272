// Between checkpoints (TensorRecord, PickleValue) and torch tensors.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/io/pickle_value.h"
#include "medseg/io/tensor_record.h"

namespace medseg {

/// A record over the tensor's memory (CPU tensors are not copied; others are moved to the CPU first).
TensorRecord toRecord(const torch::Tensor& tensor);

/// A CPU tensor with memory of its own. Throws DataError for element types torch does not have.
torch::Tensor toTensor(const TensorRecord& record);

/// Parameters and buffers of `network` by name, in registration order, as torch's state_dict().
std::vector<std::pair<std::string, torch::Tensor>> namedState(const torch::nn::Module& network);

/// The state dict as it is written to a checkpoint.
PickleValue stateDictOf(const torch::nn::Module& network);

/// Copies `state` (name -> tensor) into the network. Strict: throws DataError listing missing, unexpected and
/// mis-shaped names, prefixed by `source`.
void loadStateDict(torch::nn::Module& network, const PickleValue& state, const std::string& source);

}  // namespace medseg
