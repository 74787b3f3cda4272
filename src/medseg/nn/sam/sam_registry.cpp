#include "medseg/nn/sam/sam_registry.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/state_dict.h"

namespace medseg {
namespace {

/// Larger sizes are refused: a damaged file must not ask for unbounded memory.
constexpr std::int64_t kLargestWidth = 1 << 14;
constexpr std::int64_t kLargestGrid = 1 << 10;

void setPromptShape(SamShape& shape, std::int64_t imageSize, std::int64_t grid) {
    shape.prompt.gridHeight = shape.prompt.gridWidth = grid;
    shape.prompt.imageHeight = shape.prompt.imageWidth = imageSize;
}

SamShape vitShape(std::int64_t width, std::int64_t depth, std::int64_t heads, std::vector<std::int64_t> globalBlocks) {
    SamShape shape;
    shape.vit.width = width;
    shape.vit.depth = depth;
    shape.vit.heads = heads;
    shape.vit.mlpWidth = 4 * width;
    shape.vit.globalBlocks = std::move(globalBlocks);
    return shape;
}

/// Small enough to train on a CPU in minutes; proportions as in ViT-B.
SamShape tinyPreset() {
    SamShape shape = vitShape(96, 4, 3, {1, 3});
    shape.vit.imageSize = 128;
    shape.vit.patchSize = 8;
    shape.vit.window = 4;
    shape.vit.outChannels = 64;
    shape.prompt.width = 64;
    shape.decoder.transformer.width = 64;
    shape.decoder.transformer.mlpWidth = 256;
    shape.decoder.iouHeadWidth = 64;
    return shape;
}

void resizeInput(SamShape& shape, std::int64_t imageSize, const std::string& name) {
    const bool vit = shape.encoder == SamEncoderKind::Vit;
    std::int64_t& size = vit ? shape.vit.imageSize : shape.tinyVit.imageSize;
    if (imageSize > 0) size = imageSize;
    const std::int64_t grid = vit ? shape.vit.grid() : shape.tinyVit.grid();
    const std::int64_t step = vit ? shape.vit.patchSize : (shape.tinyVit.stridedPatches ? 16 : 4);
    if (size % step != 0)
        throw UsageError(fmt::format("sam.image_size {}: {} needs a multiple of {} pixels", size, name, step));
    setPromptShape(shape, size, grid);
}

/// Reads sizes out of tensor shapes; every failure names the file and the tensor.
class ShapeReader {
  public:
    ShapeReader(const NamedTensors& tensors, std::string source) : tensors_(tensors), source_(std::move(source)) {}

    bool has(const std::string& name) const { return findTensor(tensors_, name) != nullptr; }

    const std::vector<std::int64_t>& of(const std::string& name, std::size_t dimensions) const {
        const TensorRecord* tensor = findTensor(tensors_, name);
        if (tensor == nullptr) throw DataError(source_, fmt::format("not a SAM checkpoint: {} is missing", name));
        if (tensor->shape.size() != dimensions)
            throw DataError(source_, fmt::format("{} has shape {}: expected {} dimensions", name,
                                                 formatShape(tensor->shape), dimensions));
        for (const std::int64_t size : tensor->shape)
            if (size < 1 || size > kLargestWidth)
                throw DataError(source_,
                                fmt::format("{} has the implausible shape {}", name, formatShape(tensor->shape)));
        return tensor->shape;
    }

    /// How many of prefix0suffix, prefix1suffix ... there are.
    std::int64_t count(const std::string& prefix, const std::string& suffix) const {
        std::int64_t number = 0;
        while (has(fmt::format("{}{}{}", prefix, number, suffix))) ++number;
        return number;
    }

    [[noreturn]] void fail(const std::string& problem) const { throw DataError(source_, problem); }

  private:
    const NamedTensors& tensors_;
    std::string source_;
};

void readRelativePositions(const ShapeReader& file, ImageEncoderShape& shape) {
    std::vector<std::int64_t> lengths;
    for (std::int64_t i = 0; i < shape.depth; ++i) {
        const auto& table = file.of(fmt::format("image_encoder.blocks.{}.attn.rel_pos_h", i), 2);
        if (shape.width % table[1] != 0)
            file.fail(fmt::format("heads of {} channels do not divide an encoder of {}", table[1], shape.width));
        shape.heads = shape.width / table[1];
        lengths.push_back(table[0]);
    }
    // Windowed blocks have the shortest tables; if all are as long as the grid asks for, all blocks are global.
    const std::int64_t shortest = *std::min_element(lengths.begin(), lengths.end());
    const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    const bool allGlobal = shortest == longest && longest == 2 * shape.grid() - 1;
    shape.globalBlocks.clear();
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        if (lengths[i] != shortest && lengths[i] != longest)
            file.fail("relative position tables of more than two lengths");
        if (allGlobal || lengths[i] != shortest) shape.globalBlocks.push_back(static_cast<std::int64_t>(i));
    }
    shape.window = (shortest + 1) / 2;
    if (!shape.globalBlocks.empty()) shape.globalTable = longest;
}

ImageEncoderShape readVit(const ShapeReader& file) {
    ImageEncoderShape shape;
    const auto& patches = file.of("image_encoder.patch_embed.proj.weight", 4);
    shape.width = patches[0];
    shape.patchSize = patches[2];
    if (patches[1] != 3) file.fail(fmt::format("images of {} channels: expected 3", patches[1]));
    shape.depth = file.count("image_encoder.blocks.", ".norm1.weight");
    if (shape.depth == 0) file.fail("not a SAM checkpoint: the image encoder has no blocks");
    shape.absolutePositions = file.has("image_encoder.pos_embed");
    if (!shape.absolutePositions) file.fail("an encoder without absolute positions does not tell its image size");
    const auto& positions = file.of("image_encoder.pos_embed", 4);
    if (positions[1] != positions[2] || positions[1] > kLargestGrid)
        file.fail(
            fmt::format("image_encoder.pos_embed has shape {}: a square grid is expected", formatShape(positions)));
    shape.imageSize = positions[1] * shape.patchSize;
    shape.mlpWidth = file.of("image_encoder.blocks.0.mlp.lin1.weight", 2)[0];
    shape.outChannels = file.of("image_encoder.neck.0.weight", 4)[0];
    shape.qkvBias = file.has("image_encoder.blocks.0.attn.qkv.bias");
    shape.relativePositions = file.has("image_encoder.blocks.0.attn.rel_pos_h");
    if (shape.relativePositions)
        readRelativePositions(file, shape);
    else
        shape.heads = shape.width == 1280 ? 16 : std::max<std::int64_t>(1, shape.width / 64);
    return shape;
}

TinyVitShape readTinyVit(const ShapeReader& file) {
    TinyVitShape shape;
    shape.stridedPatches = file.of("image_encoder.patch_embed.seq.0.c.weight", 4)[2] == 3;
    shape.imageSize = shape.stridedPatches ? 1024 : 256;
    shape.widths[0] = file.of("image_encoder.patch_embed.seq.2.c.weight", 4)[0];
    shape.depths[0] = file.count("image_encoder.layers.0.blocks.", ".conv1.c.weight");
    if (shape.depths[0] > 0)
        shape.expansion = file.of("image_encoder.layers.0.blocks.0.conv1.c.weight", 4)[0] / shape.widths[0];
    for (std::size_t i = 1; i < shape.widths.size(); ++i) {
        const std::string stage = fmt::format("image_encoder.layers.{}.blocks.", i);
        shape.depths[i] = file.count(stage, ".attn.qkv.weight");
        if (shape.depths[i] == 0) file.fail(fmt::format("TinyViT: stage {} has no blocks", i));
        shape.widths[i] = file.of(stage + "0.attn.qkv.weight", 2)[1];
        const auto& biases = file.of(stage + "0.attn.attention_biases", 2);
        shape.heads[i] = biases[0];
        shape.windows[i] = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(biases[1]))));
        if (shape.windows[i] > 64) file.fail(fmt::format("TinyViT: windows of {} cells", shape.windows[i]));
        if (shape.widths[i] % shape.heads[i] != 0) file.fail("TinyViT: heads do not divide the width");
        shape.mlpRatio = file.of(stage + "0.mlp.fc1.weight", 2)[0] / shape.widths[i];
    }
    shape.outChannels = file.of("image_encoder.neck.0.weight", 4)[0];
    if (file.has("image_encoder.head.weight")) shape.classes = file.of("image_encoder.head.weight", 2)[0];
    return shape;
}

MaskDecoderShape readDecoder(const ShapeReader& file) {
    MaskDecoderShape shape;
    TwoWayShape& transformer = shape.transformer;
    const std::string layer = "mask_decoder.transformer.layers.";
    transformer.depth = file.count(layer, ".norm1.weight");
    if (transformer.depth == 0) file.fail("not a SAM checkpoint: the mask decoder has no layers");
    transformer.width = file.of("mask_decoder.iou_token.weight", 2)[1];
    transformer.mlpWidth = file.of(layer + "0.mlp.lin1.weight", 2)[0];
    const std::int64_t inner = file.of(layer + "0.cross_attn_token_to_image.q_proj.weight", 2)[0];
    transformer.downsample = std::max<std::int64_t>(1, transformer.width / inner);
    if (inner % transformer.heads != 0 || transformer.width % 8 != 0)
        file.fail(fmt::format("mask decoder: inner width {} is not divisible by {} heads", inner, transformer.heads));
    shape.multimaskOutputs = file.of("mask_decoder.mask_tokens.weight", 2)[0] - 1;
    shape.iouHeadDepth = static_cast<int>(file.count("mask_decoder.iou_prediction_head.layers.", ".weight"));
    shape.iouHeadWidth = file.of("mask_decoder.iou_prediction_head.layers.0.weight", 2)[0];
    return shape;
}

}  // namespace

const std::vector<std::string>& samModelNames() {
    static const std::vector<std::string> names{"vit_b",      "vit_l",       "vit_h",   "medsam",
                                                "mobile_sam", "lite_medsam", "vit_tiny"};
    return names;
}

SamShape samShape(const std::string& name, std::int64_t imageSize) {
    SamShape shape;
    if (name == "vit_b" || name == "medsam") {
        shape = vitShape(768, 12, 12, {2, 5, 8, 11});
    } else if (name == "vit_l") {
        shape = vitShape(1024, 24, 16, {5, 11, 17, 23});
    } else if (name == "vit_h") {
        shape = vitShape(1280, 32, 16, {7, 15, 23, 31});
    } else if (name == "vit_tiny") {
        shape = tinyPreset();
    } else if (name == "mobile_sam" || name == "lite_medsam") {
        shape.encoder = SamEncoderKind::TinyVit;
        shape.tinyVit.stridedPatches = name == "mobile_sam";
        shape.tinyVit.imageSize = name == "mobile_sam" ? 1024 : 256;
        shape.tinyVit.classes = name == "mobile_sam" ? 1000 : 0;
    } else {
        throw UsageError(fmt::format("sam model \"{}\" is none of: {}", name, fmt::join(samModelNames(), ", ")));
    }
    resizeInput(shape, imageSize, name);
    return shape;
}

std::int64_t leastParameterCount(const SamShape& shape) {
    const TwoWayShape& decoder = shape.decoder.transformer;
    std::int64_t count = decoder.depth * (4 * decoder.width * decoder.width + 2 * decoder.width * decoder.mlpWidth);
    if (shape.encoder == SamEncoderKind::Vit) {
        const ImageEncoderShape& vit = shape.vit;
        return count + vit.depth * (4 * vit.width * vit.width + 2 * vit.width * vit.mlpWidth);
    }
    const TinyVitShape& tiny = shape.tinyVit;
    for (std::size_t i = 1; i < tiny.widths.size(); ++i)
        count += tiny.depths[i] * tiny.widths[i] * tiny.widths[i] * (4 + 2 * tiny.mlpRatio);
    return count;
}

bool looksLikeSam(const NamedTensors& tensors) {
    return findTensor(tensors, "prompt_encoder.no_mask_embed.weight") != nullptr &&
           findTensor(tensors, "mask_decoder.iou_token.weight") != nullptr &&
           findTensor(tensors, "image_encoder.neck.0.weight") != nullptr;
}

SamShape samShapeFromTensors(const NamedTensors& tensors, const std::string& source) {
    const ShapeReader file(tensors, source);
    SamShape shape;
    if (file.has("image_encoder.patch_embed.seq.0.c.weight")) {
        shape.encoder = SamEncoderKind::TinyVit;
        shape.tinyVit = readTinyVit(file);
        setPromptShape(shape, shape.tinyVit.imageSize, shape.tinyVit.grid());
    } else {
        shape.vit = readVit(file);
        setPromptShape(shape, shape.vit.imageSize, shape.vit.grid());
    }
    shape.prompt.width = file.of("prompt_encoder.no_mask_embed.weight", 2)[1];
    shape.prompt.maskChannels = file.of("prompt_encoder.mask_downscaling.3.weight", 4)[0];
    shape.decoder = readDecoder(file);
    return shape;
}

}  // namespace medseg
