// Loading the weights of a SAM 2 network from official checkpoints, from those of MedSAM2's fine-tuning, and from
// medseg's own.
#pragma once

#include <filesystem>
#include <string>

#include "medseg/io/state_dict.h"
#include "medseg/nn/sam2/sam2.h"

namespace medseg {

/// Weights by their official names: wrappers ("model") are opened, and the prefix of MedSAM2's fine-tuned files
/// ("sam2_model.") is removed. Throws DataError.
NamedTensors readSam2Weights(const std::filesystem::path& path);

/// Copies `weights` into the network. Strict; throws DataError naming `source`, `modelName` and what does not fit.
void loadSam2Weights(Sam2Impl& network, const NamedTensors& weights, const std::string& source,
                     const std::string& modelName);

}  // namespace medseg
