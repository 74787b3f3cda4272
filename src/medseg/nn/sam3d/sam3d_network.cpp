#include "medseg/nn/sam3d/sam3d_network.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr const char* kFormat = "medseg-sam3d-1";
constexpr const char* kWeightsKey = "model_state_dict";
constexpr const char* kAdapterKey = "lora_state_dict";

fs::path findModel(const fs::path& path) {
    if (!fs::is_directory(path)) return path;
    for (const char* name : {"best.pt", "latest.pt"})
        if (fs::is_regular_file(path / name)) return path / name;
    if (fs::is_directory(path / "model")) return findModel(path / "model");
    throw DataError(path.string(), "no SAM 3D model in this folder (best.pt or latest.pt)");
}

TorchFile openModel(const fs::path& file) {
    TorchFile opened = readTorchFile(file);
    const PickleValue* format = opened.root.find("format");
    if (format == nullptr || !format->isString() || format->asString() != kFormat)
        throw DataError(file.string(),
                        "not a SAM 3D model that medseg trained: `medseg checkpoint inspect` tells "
                        "what it is");
    return opened;
}

}  // namespace

Sam3dNetworkImpl::Sam3dNetworkImpl(const Sam3dShape& shape) : shape_(shape) {
    encoder = register_module("ss_encoder", StructureEncoder(shape.vae));
    decoder = register_module("ss_decoder", StructureDecoder(shape.vae));
    embedder = register_module("condition_embedder", ConditionEmbedder(shape.condition));
    generator = register_module("generator", StructureFlow(shape.flow));
}

bool usesFramePoints(const Recipe& recipe) {
    if (recipe.sam3d.points == "auto") return recipe.sam3d.preset != "official";
    return recipe.sam3d.points == "frame";
}

bool trainsEmbedder(const Recipe& recipe) {
    if (recipe.lora.enabled) return false;
    if (recipe.sam3d.embedder == "auto") return recipe.sam3d.preset != "official";
    return recipe.sam3d.embedder == "trained";
}

void loadSam3dWeights(Sam3dNetwork& network, const fs::path& weights, bool encoder) {
    const bool official = fs::is_directory(weights) && fs::exists(weights / sam3dFileName(Sam3dPart::Generator));
    if (!official) {
        const fs::path file = findModel(weights);
        loadSam3dCheckpoint(network, file, openModel(file).root);
        return;
    }
    const auto load = [&](torch::nn::Module& part, Sam3dPart which) {
        loadSam3dPart(part, weights / sam3dFileName(which), which);
    };
    if (encoder) load(*network->encoder, Sam3dPart::StructureEncoder);
    load(*network->decoder, Sam3dPart::StructureDecoder);
    load(*network->generator, Sam3dPart::Generator);
    load(*network->embedder, Sam3dPart::ConditionEmbedder);
}

PickleValue sam3dDescription(const Recipe& recipe, const std::vector<std::string>& labels) {
    PickleValue description = PickleValue::dict();
    description.set("format", kFormat);
    description.set("recipe", recipeToYaml(recipe));
    PickleValue names = PickleValue::list();
    for (const std::string& label : labels) names.append(label);
    description.set("labels", std::move(names));
    return description;
}

void addSam3dWeights(PickleValue& checkpoint, Sam3dNetwork& network, const Recipe& recipe) {
    if (recipe.lora.enabled)
        addLoraEntries(checkpoint, loraCheckpointOf(*network, loraSettingsFrom(recipe.lora)));
    else
        checkpoint.set(kWeightsKey, stateDictOf(*network));
}

void loadSam3dCheckpoint(Sam3dNetwork& network, const fs::path& file, const PickleValue& checkpoint) {
    if (checkpoint.find(kAdapterKey) != nullptr)
        loadLora(*network, readLoraCheckpoint(file), file.string());
    else
        loadStateDict(*network, checkpoint.at(kWeightsKey), file.string());
}

LoadedSam3d loadSam3d(const fs::path& path) {
    LoadedSam3d model;
    model.file = findModel(path);
    const TorchFile file = openModel(model.file);
    model.recipe = recipeFromYaml(file.root.at("recipe").asString(), model.file.string());
    for (const PickleValue& label : file.root.at("labels").items()) model.labels.push_back(label.asString());
    model.network = Sam3dNetwork(sam3dShape(model.recipe.sam3d.preset));
    if (file.root.find(kAdapterKey) != nullptr) {
        if (model.recipe.sam3d.weights.empty())
            throw DataError(model.file.string(), "holds adapters but does not say which weights they belong to");
        loadSam3dWeights(model.network, model.recipe.sam3d.weights, false);
        mergeLora(*model.network);  // of the model that these adapters build on, if it has some
        removeLora(*model.network);
    }
    loadSam3dCheckpoint(model.network, model.file, file.root);
    mergeLora(*model.network);
    model.network->eval();
    return model;
}

LoraSettings loraSettingsFrom(const LoraRecipeSettings& settings) {
    LoraSettings lora;
    lora.rank = settings.rank;
    lora.alpha = settings.alpha;
    lora.dropout = settings.dropout;
    lora.targets = settings.targets;
    lora.exclude = settings.exclude;
    lora.train = settings.train;
    return lora;
}

}  // namespace medseg
