#include "medseg/nn/model_file.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr const char* kFormat = "medseg-model-1";

}  // namespace

fs::path findModelFile(const fs::path& path) {
    if (!fs::is_directory(path)) return path;
    for (const char* name : {"best.pth", "latest.pth"})
        if (fs::is_regular_file(path / name)) return path / name;
    if (fs::is_directory(path / "model")) return findModelFile(path / "model");
    throw DataError(path.string(), "no model in this folder (best.pth or latest.pth): train one with `medseg train`");
}

UNet buildUNet(const ModelSettings& settings, int structures) {
    UNetShape shape;
    shape.inChannels = 2 * settings.neighbours + 1 + static_cast<int>(settings.coordinates.size());
    shape.outChannels = structures + (outputKindOf(settings) == OutputKind::Softmax ? 1 : 0);
    shape.features = settings.features;
    shape.bottleneck = settings.bottleneck;
    shape.dimensions = settings.dimensions;
    shape.norm = normKindFromName(settings.norm);
    shape.residual = settings.residual;
    shape.attention = settings.attention;
    shape.deepSupervision = settings.deepSupervision;
    return UNet(shape);
}

OutputKind outputKindOf(const ModelSettings& settings) {
    return settings.output == "softmax" ? OutputKind::Softmax : OutputKind::Sigmoid;
}

PickleValue modelDescription(const Recipe& recipe, const LabelTable& labels) {
    PickleValue description = PickleValue::dict();
    description.set("format", kFormat);
    description.set("recipe", recipeToYaml(recipe));
    PickleValue names = PickleValue::list();
    for (const Label& label : labels.labels()) names.append(label.name);
    description.set("labels", std::move(names));
    return description;
}

LoadedModel loadModel(const fs::path& path) {
    LoadedModel model;
    model.file = findModelFile(path);
    const std::string name = model.file.string();
    const TorchFile file = readTorchFile(model.file);
    const PickleValue* format = file.root.find("format");
    if (format == nullptr || !format->isString() || format->asString() != kFormat)
        throw DataError(name, "not a model that medseg trained: `medseg checkpoint inspect` tells what it is");
    model.recipe = recipeFromYaml(file.root.at("recipe").asString(), name);
    std::vector<std::string> names;
    for (const PickleValue& label : file.root.at("labels").items()) names.push_back(label.asString());
    model.labels = LabelTable::fromNames(names);
    model.network = buildUNet(model.recipe.model, static_cast<int>(names.size()));
    loadStateDict(*model.network, file.root.at("model_state_dict"), name);
    model.network->eval();
    return model;
}

}  // namespace medseg
