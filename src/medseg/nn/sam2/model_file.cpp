#include "medseg/nn/sam2/model_file.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/nn/model_file.h"
#include "medseg/nn/sam2/registry.h"
#include "medseg/nn/sam2/weights.h"

namespace medseg {
namespace {

/// MedSAM2 (2025) and its EfficientTAM variants work at 512, on weights of the same shapes as SAM 2.1 tiny.
bool isNamedLikeMedSam2(const std::filesystem::path& file) {
    std::string name = file.filename().string();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name.starts_with("medsam2_") && !name.ends_with(".pth");
}

void setImageSize(Sam2Settings& settings, int imageSize) {
    if (imageSize == 0) return;
    settings.imageSize = imageSize;
    try {
        checkSam2Settings(settings);
    } catch (const DataError& error) {
        throw UsageError(fmt::format("image size {}: {}", imageSize, error.what()));
    }
}

std::optional<Recipe> recipeOf(const PickleValue& root, const std::string& name) {
    if (!root.isDict()) return {};
    const PickleValue* yaml = root.find("recipe");
    if (yaml == nullptr || !yaml->isString()) return {};
    return recipeFromYaml(yaml->asString(), name);
}

}  // namespace

Sam2 buildSam2(const Sam2RecipeSettings& recipe, bool withCheckpoint) {
    Sam2Settings settings = sam2ByName(recipe.model);
    setImageSize(settings, recipe.imageSize);
    Sam2 network(settings);
    if (withCheckpoint && !recipe.checkpoint.empty())
        loadSam2Weights(*network, readSam2Weights(recipe.checkpoint), recipe.checkpoint, recipe.model);
    return network;
}

bool isSam2File(const std::filesystem::path& path) {
    try {
        const std::filesystem::path file = findModelFile(path);
        if (!std::filesystem::is_regular_file(file) || !looksLikeCheckpoint(file)) return false;
        const NamedTensors weights = readSam2Weights(file);
        return findTensor(weights, "maskmem_tpos_enc") != nullptr &&
               findTensor(weights, "image_encoder.trunk.patch_embed.proj.weight") != nullptr;
    } catch (const DataError&) {
        return false;
    }
}

LoadedSam2 loadSam2(const std::filesystem::path& path, int imageSize) {
    LoadedSam2 loaded;
    loaded.file = findModelFile(path);
    const std::string name = loaded.file.string();
    const Checkpoint checkpoint = readCheckpoint(loaded.file);
    const NamedTensors weights = readSam2Weights(loaded.file);
    Sam2Settings settings;
    loaded.recipe = recipeOf(checkpoint.root, name);
    if (loaded.recipe && loaded.recipe->model.kind != "sam2")
        throw DataError(name, fmt::format("holds a network of the family {}, not SAM 2", loaded.recipe->model.kind));
    if (loaded.recipe) {
        settings = sam2ByName(loaded.recipe->sam2.model);
        setImageSize(settings, imageSize != 0 ? imageSize : loaded.recipe->sam2.imageSize);
        std::vector<std::string> names;
        for (const PickleValue& label : checkpoint.root.at("labels").items()) names.push_back(label.asString());
        loaded.labels = LabelTable::fromNames(names);
    } else {
        settings = identifySam2(weights, name);
        if (imageSize == 0 && isNamedLikeMedSam2(loaded.file)) imageSize = 512;
        setImageSize(settings, imageSize);
    }
    loaded.network = Sam2(settings);
    loadSam2Weights(*loaded.network, weights, name, "SAM 2");
    loaded.network->eval();
    return loaded;
}

}  // namespace medseg
