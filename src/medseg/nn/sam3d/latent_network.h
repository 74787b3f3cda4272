// All networks of SAM 3D's latent stage in one module, as a medseg checkpoint holds them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "medseg/io/lora_checkpoint.h"
#include "medseg/io/pickle_value.h"
#include "medseg/nn/sam3d/condition_embedder.h"
#include "medseg/nn/sam3d/gaussian_decoder.h"
#include "medseg/nn/sam3d/latent_flow.h"
#include "medseg/nn/sam3d/mesh_decoder.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

struct LatentShape {
    MeshDecoderShape mesh;
    bool generates = false;  ///< latents come from a generator; else from the occupancy around a voxel
    LatentFlowShape flow;
    ConditionShape condition;
};

/// True when the recipe's latents come from a generator ("auto" resolved).
bool generatesLatents(const Recipe& recipe);
LatentShape latentShape(const Recipe& recipe);

/// Names: slat_decoder_mesh and, where latents are generated, slat_generator and slat_condition_embedder.
class LatentNetworkImpl : public torch::nn::Module {
  public:
    explicit LatentNetworkImpl(const LatentShape& shape);

    const LatentShape& shape() const { return shape_; }

    MeshDecoder decoder{nullptr};
    LatentFlow generator{nullptr};        ///< null unless latents are generated
    ConditionEmbedder embedder{nullptr};  ///< likewise

  private:
    LatentShape shape_;
};
TORCH_MODULE(LatentNetwork);

/// Whether `weights` has something for this stage: a folder with slat_decoder_mesh.ckpt, or a model of medseg's with a
/// latent stage.
bool hasLatentWeights(const std::filesystem::path& weights);
/// Weights from a folder with the released files (slat_decoder_mesh.ckpt and, where latents are generated,
/// slat_generator.ckpt) or from a model that medseg trained. Throws DataError.
void loadLatentWeights(LatentNetwork& network, const std::filesystem::path& weights);

/// A latent stage that medseg trained.
struct LoadedLatent {
    std::filesystem::path file;
    Recipe recipe;
    LatentNetwork network{nullptr};
};

/// The latent stage of a model folder (its latent/best.pt, else latent/latest.pt), or one in a file; adapters are
/// merged. Without one in the folder: the released files in `weights`, if they are there, with `recipe`. Nothing when
/// there is none at all. Throws DataError.
std::optional<LoadedLatent> findLatent(const std::filesystem::path& model, const Recipe& recipe);

/// Gaussian decoder of the release in a folder of weights, 32 Gaussians a voxel, else 4. Throws DataError without one.
GaussianDecoder loadGaussianDecoder(const std::filesystem::path& weights, const MeshDecoderShape& mesh);

/// "format", "recipe" and "labels" of a checkpoint.
PickleValue latentDescription(const Recipe& recipe, const std::vector<std::string>& labels);
void addLatentWeights(PickleValue& checkpoint, LatentNetwork& network, const Recipe& recipe);
void loadLatentCheckpoint(LatentNetwork& network, const std::filesystem::path& file, const PickleValue& checkpoint);

/// Adapters of the latent stage: those of the recipe, without the generator where it is frozen.
LoraSettings latentLoraSettings(const Recipe& recipe);

}  // namespace medseg
