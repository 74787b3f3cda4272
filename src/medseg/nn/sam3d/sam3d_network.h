// All networks of SAM 3D's structure stage in one module, as a medseg checkpoint holds them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/io/lora_checkpoint.h"
#include "medseg/io/pickle_value.h"
#include "medseg/nn/sam3d/sam3d_model.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

/// Names: ss_encoder, ss_decoder, condition_embedder, generator.
class Sam3dNetworkImpl : public torch::nn::Module {
  public:
    explicit Sam3dNetworkImpl(const Sam3dShape& shape);

    const Sam3dShape& shape() const { return shape_; }

    StructureEncoder encoder{nullptr};
    StructureDecoder decoder{nullptr};
    ConditionEmbedder embedder{nullptr};
    StructureFlow generator{nullptr};

  private:
    Sam3dShape shape_;
};
TORCH_MODULE(Sam3dNetwork);

/// Which coordinates the pointmaps have ("auto" resolved): true for those of the frame.
bool usesFramePoints(const Recipe& recipe);
/// True when the condition embedder is trained ("auto" resolved).
bool trainsEmbedder(const Recipe& recipe);

/// Weights of a network from recipe.sam3d.weights: a folder with the official files, or a model that medseg trained
/// (folder or file). With `encoder` false the encoder may be missing (prediction does not need it). Throws DataError.
void loadSam3dWeights(Sam3dNetwork& network, const std::filesystem::path& weights, bool encoder);

/// A SAM 3D model that medseg trained.
struct LoadedSam3d {
    std::filesystem::path file;
    Recipe recipe;
    std::vector<std::string> labels;
    Sam3dNetwork network{nullptr};
};

/// `path`: a model folder (best.pt, else latest.pt) or a checkpoint. Adapters are loaded onto the weights that the
/// recipe names, and merged. Throws DataError when it is no SAM 3D model of medseg, or does not fit.
LoadedSam3d loadSam3d(const std::filesystem::path& path);

/// "format", "recipe" and "labels" of a checkpoint.
PickleValue sam3dDescription(const Recipe& recipe, const std::vector<std::string>& labels);

/// The weights of a checkpoint of `network`: all of them under "model_state_dict", or with adapters only what was
/// trained, as addLoraEntries() writes it.
void addSam3dWeights(PickleValue& checkpoint, Sam3dNetwork& network, const Recipe& recipe);
/// The way back, into a network with the weights that the adapters were trained on.
void loadSam3dCheckpoint(Sam3dNetwork& network, const std::filesystem::path& file, const PickleValue& checkpoint);

LoraSettings loraSettingsFrom(const LoraRecipeSettings& settings);

}  // namespace medseg
