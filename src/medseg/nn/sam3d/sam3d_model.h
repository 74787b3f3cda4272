// SAM 3D Objects' structure stage as a whole: sizes by name, weights by the official file names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/io/state_dict.h"
#include "medseg/nn/sam3d/condition_embedder.h"
#include "medseg/nn/sam3d/flow_sampler.h"
#include "medseg/nn/sam3d/structure_flow.h"
#include "medseg/nn/sam3d/structure_vae.h"

namespace medseg {

struct Sam3dShape {
    std::int64_t grid = 64;  ///< voxels along a side of the occupancy
    StructureVaeShape vae;
    StructureFlowShape flow;
    ConditionShape condition;
};

/// "tiny" (trains on a CPU in minutes), "small" or "official" (the release). `withPose`: also the four pose latents.
/// Throws UsageError listing the names.
Sam3dShape sam3dShape(const std::string& preset, bool withPose = false);

/// The parts of the released files.
enum class Sam3dPart {
    StructureEncoder,
    StructureDecoder,
    Generator,
    ConditionEmbedder,
    LatentGenerator,
    LatentConditionEmbedder,
    MeshDecoder,
    GaussianDecoder,
};

/// "ss_encoder.safetensors", "ss_decoder.ckpt", "ss_generator.ckpt", "slat_generator.ckpt" ...
const char* sam3dFileName(Sam3dPart part);
/// Prefix of the part's names in its file; empty for the autoencoder and the decoders.
const char* sam3dPrefix(Sam3dPart part);

/// The tensors of a part, without prefix: from an official file, or from one that holds them without prefix. Throws
/// DataError: missing, empty (as early copies of ss_encoder.safetensors were) or damaged files, or no such part inside.
NamedTensors readSam3dPart(const std::filesystem::path& file, Sam3dPart part);

/// Copies a part's tensors into `network`. Every tensor of the network must be in the file, in its shape; further ones
/// (the pose, when it is not modelled) are left out. Half-precision weights are converted. Throws DataError.
void loadSam3dPart(torch::nn::Module& network, const std::filesystem::path& file, Sam3dPart part);

/// Names and shapes of all parameters and buffers of a network.
std::vector<ExpectedTensor> expectedTensors(const torch::nn::Module& network);

}  // namespace medseg
