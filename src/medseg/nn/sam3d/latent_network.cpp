#include "medseg/nn/sam3d/latent_network.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam3d/sam3d_network.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr const char* kFormat = "medseg-sam3d-latent-1";
constexpr const char* kWeightsKey = "model_state_dict";
constexpr const char* kAdapterKey = "lora_state_dict";
constexpr const char* kSparseGaussianFile = "slat_decoder_gs_4.ckpt";

/// The checkpoint of a latent stage in a model folder; empty when there is none.
fs::path checkpointIn(const fs::path& folder) {
    for (const char* place : {"latent", "model/latent"})
        for (const char* name : {"best.pt", "latest.pt"})
            if (fs::is_regular_file(folder / place / name)) return folder / place / name;
    return {};
}

bool isLatentFile(const TorchFile& file) {
    const PickleValue* format = file.root.find("format");
    return format != nullptr && format->isString() && format->asString() == kFormat;
}

bool hasReleasedDecoder(const fs::path& weights) {
    return fs::is_directory(weights) && fs::exists(weights / sam3dFileName(Sam3dPart::MeshDecoder));
}

}  // namespace

bool generatesLatents(const Recipe& recipe) {
    if (recipe.sam3d.latents == "auto") return recipe.sam3d.preset == "official";
    return recipe.sam3d.latents == "generator";
}

LatentShape latentShape(const Recipe& recipe) {
    const std::string& preset = recipe.sam3d.preset;
    const Sam3dShape structure = sam3dShape(preset);
    LatentShape shape;
    shape.mesh = meshDecoderShape(preset);
    shape.generates = generatesLatents(recipe);
    shape.flow.width = shape.flow.conditionWidth = structure.flow.width;
    shape.flow.blocks = structure.flow.blocks;
    shape.flow.heads = structure.flow.heads;
    if (preset != "official") shape.flow.ioChannels = {structure.flow.width / 2};
    shape.condition = structure.condition;
    shape.condition.latentStage = true;
    return shape;
}

LatentNetworkImpl::LatentNetworkImpl(const LatentShape& shape) : shape_(shape) {
    decoder = register_module("slat_decoder_mesh", MeshDecoder(shape.mesh));
    if (!shape.generates) return;
    generator = register_module("slat_generator", LatentFlow(shape.flow));
    embedder = register_module("slat_condition_embedder", ConditionEmbedder(shape.condition));
}

bool hasLatentWeights(const fs::path& weights) {
    return hasReleasedDecoder(weights) || !checkpointIn(weights).empty();
}

void loadLatentWeights(LatentNetwork& network, const fs::path& weights) {
    if (!hasReleasedDecoder(weights)) {
        const fs::path file = fs::is_directory(weights) ? checkpointIn(weights) : weights;
        if (file.empty())
            throw DataError(weights.string(),
                            fmt::format("holds neither {} nor a latent stage that medseg trained (latent/best.pt)",
                                        sam3dFileName(Sam3dPart::MeshDecoder)));
        loadLatentCheckpoint(network, file, readTorchFile(file).root);
        return;
    }
    const auto load = [&](torch::nn::Module& part, Sam3dPart which) {
        loadSam3dPart(part, weights / sam3dFileName(which), which);
    };
    load(*network->decoder, Sam3dPart::MeshDecoder);
    if (!network->shape().generates) return;
    load(*network->generator, Sam3dPart::LatentGenerator);
    load(*network->embedder, Sam3dPart::LatentConditionEmbedder);
}

PickleValue latentDescription(const Recipe& recipe, const std::vector<std::string>& labels) {
    PickleValue description = sam3dDescription(recipe, labels);
    description.set("format", kFormat);
    return description;
}

void addLatentWeights(PickleValue& checkpoint, LatentNetwork& network, const Recipe& recipe) {
    if (recipe.lora.enabled)
        addLoraEntries(checkpoint, loraCheckpointOf(*network, latentLoraSettings(recipe)));
    else
        checkpoint.set(kWeightsKey, stateDictOf(*network));
}

void loadLatentCheckpoint(LatentNetwork& network, const fs::path& file, const PickleValue& checkpoint) {
    if (checkpoint.find(kAdapterKey) != nullptr)
        loadLora(*network, readLoraCheckpoint(file), file.string());
    else
        loadStateDict(*network, checkpoint.at(kWeightsKey), file.string());
}

LoraSettings latentLoraSettings(const Recipe& recipe) {
    LoraSettings settings = loraSettingsFrom(recipe.lora);
    settings.train = recipe.lora.trainLatent;
    settings.exclude.push_back("slat_condition_embedder");
    if (recipe.sam3d.latentGenerator == "frozen") settings.exclude.push_back("slat_generator");
    return settings;
}

std::optional<LoadedLatent> findLatent(const fs::path& model, const Recipe& recipe) {
    LoadedLatent latent;
    latent.file = fs::is_directory(model) ? checkpointIn(model) : checkpointIn(model.parent_path());
    if (latent.file.empty()) {
        if (recipe.sam3d.weights.empty() || !hasLatentWeights(recipe.sam3d.weights)) return std::nullopt;
        latent.file = recipe.sam3d.weights;
        latent.recipe = recipe;
        latent.network = LatentNetwork(latentShape(recipe));
        loadLatentWeights(latent.network, latent.file);
    } else {
        const TorchFile file = readTorchFile(latent.file);
        if (!isLatentFile(file)) throw DataError(latent.file.string(), "not a latent stage that medseg trained");
        latent.recipe = recipeFromYaml(file.root.at("recipe").asString(), latent.file.string());
        latent.network = LatentNetwork(latentShape(latent.recipe));
        if (file.root.find(kAdapterKey) != nullptr) {
            if (latent.recipe.sam3d.weights.empty())
                throw DataError(latent.file.string(), "holds adapters but does not say which weights they belong to");
            loadLatentWeights(latent.network, latent.recipe.sam3d.weights);
            mergeLora(*latent.network);
            removeLora(*latent.network);
        }
        loadLatentCheckpoint(latent.network, latent.file, file.root);
    }
    mergeLora(*latent.network);
    latent.network->eval();
    return latent;
}

GaussianDecoder loadGaussianDecoder(const fs::path& weights, const MeshDecoderShape& mesh) {
    GaussianDecoderShape shape;
    shape.torso = mesh.torso;
    shape.resolution = mesh.resolution;
    fs::path file = weights / sam3dFileName(Sam3dPart::GaussianDecoder);
    if (!fs::exists(file)) {
        file = weights / kSparseGaussianFile;
        shape.perVoxel = 4;
    }
    if (!fs::exists(file))
        throw DataError(weights.string(), fmt::format("has no Gaussian decoder ({} or {})",
                                                      sam3dFileName(Sam3dPart::GaussianDecoder), kSparseGaussianFile));
    GaussianDecoder decoder(shape);
    loadSam3dPart(*decoder, file, Sam3dPart::GaussianDecoder);
    decoder->eval();
    return decoder;
}

}  // namespace medseg
