#include "medseg/nn/sam/sam_file.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/lora_checkpoint.h"
#include "medseg/nn/model_file.h"
#include "medseg/nn/sam/sam_registry.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr const char* kFormat = "medseg-sam-1";

std::string guessedStyle(const fs::path& file, const SamShape& shape) {
    if (shape.encoder == SamEncoderKind::TinyVit && !shape.tinyVit.stridedPatches) return "litemedsam";
    std::string name = file.filename().string();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name.find("medsam") != std::string::npos ? "medsam" : "sam";
}

/// (1, g, g, width) to (1, grid, grid, width).
torch::Tensor resizedPositions(const torch::Tensor& positions, std::int64_t grid) {
    const torch::Tensor maps = positions.permute({0, 3, 1, 2});
    return torch::upsample_bilinear2d(maps, {grid, grid}, false).permute({0, 2, 3, 1}).contiguous();
}

/// (length, d) to (wanted, d).
torch::Tensor resizedTable(const torch::Tensor& table, std::int64_t wanted) {
    return torch::upsample_linear1d(table.t().unsqueeze(0), {wanted}, false).squeeze(0).t().contiguous();
}

/// A damaged file must not make a network that is larger than itself: half precision takes two bytes a parameter.
void requireWholeFile(const SamShape& shape, const fs::path& file) {
    const auto bytes = static_cast<std::int64_t>(fs::file_size(file));
    if (leastParameterCount(shape) > bytes / 2)
        throw DataError(file.string(),
                        fmt::format("incomplete: {} bytes cannot hold the {} parameters that its shapes tell", bytes,
                                    leastParameterCount(shape)));
}

bool isAdapter(const std::string& name) {
    return name.ends_with(".lora_A") || name.ends_with(".lora_B");
}

/// W + (alpha / rank) B A.
void addAdapters(SamImpl& network, const LoraCheckpoint& lora, const std::string& source) {
    const torch::NoGradGuard noGradient;
    auto parameters = network.named_parameters();
    for (const auto& [name, a] : lora.adapters) {
        if (!name.ends_with(".lora_A")) continue;
        const std::string path = name.substr(0, name.size() - std::string_view(".lora_A").size());
        torch::Tensor* weight = parameters.find(path + ".weight");
        const TensorRecord* b = findTensor(lora.adapters, path + ".lora_B");
        if (weight == nullptr || b == nullptr)
            throw DataError(source, fmt::format("{}: an adapter without layer", name));
        const torch::Tensor product = torch::matmul(toTensor(*b).to(torch::kFloat), toTensor(a).to(torch::kFloat));
        if (product.sizes() != weight->sizes())
            throw DataError(source, fmt::format("{}: of another shape than its layer", name));
        weight->add_(product, lora.settings.scaling());
    }
}

}  // namespace

bool isSamFile(const fs::path& path) {
    try {
        return looksLikeSam(readStateDict(findModelFile(path)).tensors);
    } catch (const DataError&) {
        return false;
    }
}

LoadedSam loadSam(const fs::path& path) {
    LoadedSam loaded;
    loaded.file = findModelFile(path);
    const std::string name = loaded.file.string();
    const Checkpoint checkpoint = readCheckpoint(loaded.file);
    const FoundStateDict found = findStateDict(checkpoint.root, name);
    if (!looksLikeSam(found.tensors))
        throw DataError(name, "holds no SAM: `medseg checkpoint inspect` tells what it is");
    const SamShape shape = samShapeFromTensors(found.tensors, name);
    requireWholeFile(shape, loaded.file);
    loaded.network = Sam(shape);
    NamedTensors weights = found.tensors;
    std::erase_if(weights, [](const auto& item) { return isAdapter(item.first); });
    loadStateDict(*loaded.network, PickleValue::stateDict(weights), name);
    if (weights.size() < found.tensors.size()) addAdapters(*loaded.network, readLoraCheckpoint(loaded.file), name);
    loaded.network->eval();
    const PickleValue* format = checkpoint.root.find("format");
    if (format != nullptr && format->isString() && format->asString() == kFormat) {
        loaded.recipe = recipeFromYaml(checkpoint.root.at("recipe").asString(), name);
        loaded.style = loaded.recipe->sam.style;
        if (const PickleValue* epoch = checkpoint.root.find("epoch"); epoch != nullptr && epoch->isInt())
            loaded.epochs = static_cast<int>(epoch->asInt());
    } else {
        loaded.style = guessedStyle(loaded.file, loaded.network->shape());
    }
    return loaded;
}

void loadSamWeights(SamImpl& network, const fs::path& path) {
    const fs::path file = findModelFile(path);
    const FoundStateDict found = readStateDict(file);
    NamedTensors fitting;
    const auto state = namedState(network);
    for (const auto& [name, record] : found.tensors) {
        const auto known =
            std::find_if(state.begin(), state.end(), [&](const auto& item) { return item.first == name; });
        if (known != state.end() && record.shape != known->second.sizes().vec()) {
            const bool positions = name == "image_encoder.pos_embed" && record.shape.size() == 4;
            const bool table = name.find(".attn.rel_pos_") != std::string::npos && record.shape.size() == 2;
            if ((positions && record.shape[3] == known->second.size(3)) ||
                (table && record.shape[1] == known->second.size(1))) {
                const torch::Tensor old = toTensor(record).to(torch::kFloat);
                const torch::Tensor resized =
                    positions ? resizedPositions(old, known->second.size(1)) : resizedTable(old, known->second.size(0));
                fitting.emplace_back(name, toRecord(resized));
                continue;
            }
        }
        fitting.emplace_back(name, record);
    }
    loadStateDict(network, PickleValue::stateDict(fitting), file.string());
}

PickleValue samDescription(const Recipe& recipe) {
    PickleValue description = PickleValue::dict();
    description.set("format", kFormat);
    description.set("recipe", recipeToYaml(recipe));
    return description;
}

}  // namespace medseg
