#include "medseg/nn/sam3d/sam3d_model.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr std::int64_t kShapeChannels = 8;

Sam3dShape tinyShape() {
    Sam3dShape shape;
    shape.vae.encoderChannels = {4, 16, 32, 64};
    shape.vae.decoderChannels = {64, 32, 16, 4};
    shape.vae.resBlocks = 1;
    shape.vae.middleBlocks = 1;
    shape.flow.width = 64;
    shape.flow.blocks = 6;
    shape.flow.heads = 4;
    shape.condition.dino.nativeSize = shape.condition.dino.inputSize = 64;
    shape.condition.dino.patchSize = 8;
    shape.condition.dino.width = 64;
    shape.condition.dino.depth = 2;
    shape.condition.dino.heads = 4;
    shape.condition.dino.registers = 1;
    shape.condition.dino.mlpRatio = 2;
    shape.condition.pointmap = {32, 8, 32, 4, 1, 2, 1e-6, "linear"};
    shape.condition.hiddenMultiple = 32;
    return shape;
}

Sam3dShape smallShape() {
    Sam3dShape shape;
    shape.vae.encoderChannels = {16, 64, 256};
    shape.vae.decoderChannels = {256, 64, 16};
    shape.flow.width = 384;
    shape.flow.blocks = 12;
    shape.flow.heads = 6;
    shape.condition.dino.inputSize = 224;
    shape.condition.dino.width = 384;
    shape.condition.dino.depth = 12;
    shape.condition.dino.heads = 6;
    shape.condition.pointmap = {128, 8, 192, 6, 1, 2, 1e-6, "linear"};
    return shape;
}

}  // namespace

Sam3dShape sam3dShape(const std::string& preset, bool withPose) {
    Sam3dShape shape;
    if (preset == "tiny")
        shape = tinyShape();
    else if (preset == "small")
        shape = smallShape();
    else if (preset != "official")
        throw UsageError(fmt::format("SAM 3D preset \"{}\" is none of: tiny, small, official", preset));
    shape.vae.latentChannels = kShapeChannels;
    shape.flow.resolution = shape.grid / shape.vae.reduction();
    shape.flow.conditionWidth = shape.condition.width = shape.flow.width;
    shape.flow.latents = withPose ? releasedLatents(shape.flow.resolution, kShapeChannels)
                                  : shapeLatentOnly(shape.flow.resolution, kShapeChannels);
    return shape;
}

const char* sam3dFileName(Sam3dPart part) {
    switch (part) {
        case Sam3dPart::StructureEncoder:
            return "ss_encoder.safetensors";
        case Sam3dPart::StructureDecoder:
            return "ss_decoder.ckpt";
        case Sam3dPart::LatentGenerator:
        case Sam3dPart::LatentConditionEmbedder:
            return "slat_generator.ckpt";
        case Sam3dPart::MeshDecoder:
            return "slat_decoder_mesh.ckpt";
        case Sam3dPart::GaussianDecoder:
            return "slat_decoder_gs.ckpt";
        default:
            return "ss_generator.ckpt";
    }
}

const char* sam3dPrefix(Sam3dPart part) {
    switch (part) {
        case Sam3dPart::Generator:
        case Sam3dPart::LatentGenerator:
            return "_base_models.generator.reverse_fn.backbone.";
        case Sam3dPart::ConditionEmbedder:
        case Sam3dPart::LatentConditionEmbedder:
            return "_base_models.condition_embedder.";
        default:
            return "";
    }
}

NamedTensors readSam3dPart(const std::filesystem::path& file, Sam3dPart part) {
    const std::string name = file.string();
    std::error_code failed;
    if (std::filesystem::file_size(file, failed) == 0 && !failed)
        throw DataError(name, "is empty (0 bytes), as early copies of the release were: download it again");
    const FoundStateDict found = readStateDict(file);
    const std::string prefix = sam3dPrefix(part);
    if (prefix.empty()) return found.tensors;
    NamedTensors chosen = withPrefix(found.tensors, prefix);
    if (!chosen.empty()) return chosen;
    for (const auto& [key, tensor] : found.tensors)
        if (key.starts_with("_base_models."))
            throw DataError(name, fmt::format("holds nothing below \"{}\": another file of the release", prefix));
    return found.tensors;
}

void loadSam3dPart(torch::nn::Module& network, const std::filesystem::path& file, Sam3dPart part) {
    const NamedTensors tensors = readSam3dPart(file, part);
    const auto state = namedState(network);
    std::vector<ExpectedTensor> expected = expectedTensors(network);
    StateDictMatch match = matchStateDict(expected, tensors);
    match.unexpected.clear();
    requireMatch(match, file.string(), sam3dFileName(part));
    torch::NoGradGuard noGradient;
    for (auto [name, target] : state) target.copy_(toTensor(*findTensor(tensors, name)));
}

std::vector<ExpectedTensor> expectedTensors(const torch::nn::Module& network) {
    std::vector<ExpectedTensor> expected;
    for (const auto& [name, tensor] : namedState(network)) expected.push_back({name, tensor.sizes().vec()});
    return expected;
}

}  // namespace medseg
