// Low-rank adapters on the linear layers of a network: any network whose layers are medseg::Linear.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/io/lora_checkpoint.h"

namespace medseg {

struct LoraReport {
    std::vector<LoraLayer> layers;     ///< that got an adapter, in registration order
    std::int64_t adapterValues = 0;    ///< in all lora_A and lora_B
    std::int64_t trainableValues = 0;  ///< with the parameters of settings.train
    std::int64_t totalValues = 0;      ///< of the whole network, adapters included
};

/// Freezes the network, adds adapters to the Linear layers whose path matches settings.targets, and makes these and the
/// parameters that match settings.train trainable. Throws UsageError when nothing matches, or when a pattern of `train`
/// matches nothing.
LoraReport attachLora(torch::nn::Module& network, const LoraSettings& settings);

/// Adds the products of all adapters to the weights; forward passes then cost what they did without adapters.
void mergeLora(torch::nn::Module& network);
/// Takes them out again.
void unmergeLora(torch::nn::Module& network);
/// Removes all adapters; what was merged stays in the weights. Every parameter is trainable afterwards.
void removeLora(torch::nn::Module& network);

/// Adapters and everything else of `network` that is trainable, for addLoraEntries() or writeLoraCheckpoint().
LoraCheckpoint loraCheckpointOf(const torch::nn::Module& network, const LoraSettings& settings);

/// Gives the layers that a checkpoint names its adapters, all others none, and sets the parameters that were trained
/// beside them; these and the adapters are trainable then. Throws DataError naming `source` when a layer is missing or
/// of another shape.
void loadLora(torch::nn::Module& network, const LoraCheckpoint& checkpoint, const std::string& source);

}  // namespace medseg
