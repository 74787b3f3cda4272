// Names and shapes against keys/, the two checkpoint forms, and the shapes read back from weights.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "io/temporary_folder.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/sam/sam_file.h"
#include "medseg/nn/tensor_bridge.h"
#include "parity/sam/sam_fixture.h"
#include "parity/sam/sam_shapes.h"

namespace medseg {
namespace {

using namespace sam_fixture;
using Shapes = std::map<std::string, std::vector<std::int64_t>>;

Shapes shapesOf(const torch::nn::Module& network) {
    Shapes shapes;
    for (const auto& [name, tensor] : namedState(network)) shapes[name] = tensor.sizes().vec();
    return shapes;
}

/// The registry's name of a key file: "sam_vit_b" is vit_b, "mobile_sam_vit_t" is mobile_sam.
std::string registryName(const std::string& file) {
    if (file.starts_with("sam_")) return file.substr(4);
    return file.starts_with("mobile_sam") ? "mobile_sam" : file;
}

constexpr std::int64_t kLargeModel = 200'000'000;

/// Of "image_encoder.blocks.N..."; -1 for other names.
int blockOf(const std::string& name) {
    int block = -1;
    return std::sscanf(name.c_str(), "image_encoder.blocks.%d.", &block) == 1 ? block : -1;
}

TEST(SamKeys, NamedModelsHaveTheOfficialNames) {
    REQUIRE_SAM_FIXTURES();
    for (const std::string& file : namesEnding("keys", ".keys.json")) {
        SCOPED_TRACE(file);
        const auto keys = json("keys/" + file + ".keys.json");
        Shapes expected;
        for (const auto& [name, shape] : keys.at("entries").items())
            expected[name] = shape.get<std::vector<std::int64_t>>();
        SamShape shape = samShape(registryName(file));
        const auto count = keys.at("parameter_count").get<std::int64_t>();
        const bool large = count > kLargeModel;
        if (large) {  // two blocks stand for all
            shape.vit.depth = 2;
            std::erase_if(expected, [](const auto& item) { return blockOf(item.first) >= 2; });
        }
        Sam network(shape);
        EXPECT_EQ(shapesOf(*network), expected);
        std::int64_t parameters = 0;
        for (const auto& parameter : network->parameters()) parameters += parameter.numel();
        if (!large) {
            EXPECT_EQ(parameters, count);
        }
    }
}

TEST(SamKeys, ShapesFollowFromTheTensors) {
    REQUIRE_SAM_FIXTURES();
    for (const std::string& file : namesEnding("keys", ".keys.json")) {
        SCOPED_TRACE(file);
        NamedTensors tensors;
        const auto keys = json("keys/" + file + ".keys.json");
        for (const auto& [name, shape] : keys.at("entries").items()) {
            TensorRecord record;
            record.shape = shape.get<std::vector<std::int64_t>>();
            tensors.emplace_back(name, record);
        }
        const SamShape read = samShapeFromTensors(tensors, file);
        const SamShape named = samShape(registryName(file));
        EXPECT_EQ(read.imageSize(), named.imageSize());
        EXPECT_EQ(read.encoder, named.encoder);
        EXPECT_EQ(read.decoder.transformer.mlpWidth, named.decoder.transformer.mlpWidth);
        EXPECT_EQ(read.decoder.transformer.downsample, named.decoder.transformer.downsample);
        if (read.encoder == SamEncoderKind::Vit) {
            EXPECT_EQ(read.vit.heads, named.vit.heads);
            EXPECT_EQ(read.vit.depth, named.vit.depth);
            EXPECT_EQ(read.vit.window, named.vit.window);
            EXPECT_EQ(read.vit.globalBlocks, named.vit.globalBlocks);
            EXPECT_EQ(read.vit.mlpWidth, named.vit.mlpWidth);
        } else {
            EXPECT_EQ(read.tinyVit.widths, named.tinyVit.widths);
            EXPECT_EQ(read.tinyVit.depths, named.tinyVit.depths);
            EXPECT_EQ(read.tinyVit.heads, named.tinyVit.heads);
            EXPECT_EQ(read.tinyVit.windows, named.tinyVit.windows);
            EXPECT_EQ(read.tinyVit.classes, named.tinyVit.classes);
        }
    }
}

TEST(SamKeys, TheFixtureIsUnderstoodWithoutItsConfiguration) {
    REQUIRE_SAM_FIXTURES();
    const SamShape shape = samShapeFromTensors(weights(), "sam_tiny");
    const ImageEncoderShape expected = imageEncoderShape();
    EXPECT_EQ(shape.vit.imageSize, expected.imageSize);
    EXPECT_EQ(shape.vit.patchSize, expected.patchSize);
    EXPECT_EQ(shape.vit.heads, expected.heads);
    EXPECT_EQ(shape.vit.window, expected.window);
    EXPECT_EQ(shape.vit.globalBlocks, expected.globalBlocks);
    EXPECT_EQ(shape.vit.mlpWidth, expected.mlpWidth);
    EXPECT_EQ(shape.prompt.maskChannels, promptEncoderShape().maskChannels);
    EXPECT_EQ(shape.decoder.iouHeadWidth, maskDecoderShape().iouHeadWidth);
    EXPECT_EQ(shape.decoder.transformer.heads, maskDecoderShape().transformer.heads);
}

/// Largest difference between the weights of `network` and those of a file.
void expectWeights(const SamImpl& network, const NamedTensors& expected) {
    const auto state = namedState(network);
    ASSERT_EQ(state.size(), expected.size());
    std::map<std::string, torch::Tensor> byName(state.begin(), state.end());
    for (const auto& [name, record] : expected) {
        ASSERT_TRUE(byName.contains(name)) << name;
        EXPECT_TRUE(torch::equal(byName[name], toTensor(record))) << name;
    }
}

TEST(SamCheckpoints, EveryFormLoadsBitForBit) {
    REQUIRE_SAM_FIXTURES();
    for (const char* plain : {"sam_tiny.pth", "sam_tiny.safetensors"}) {
        SCOPED_TRACE(plain);
        expectWeights(*loadSam(folder() / plain).network, weights());
    }
    const NamedTensors trained = readSafetensors(folder() / "medsam_train/params_after3.safetensors").tensors;
    for (const char* wrapped : {"medsam_train/ckpt_single.pth", "medsam_train/ckpt_module.pth"}) {
        SCOPED_TRACE(wrapped);
        expectWeights(*loadSam(folder() / wrapped).network, trained);
        // The seed's conversion script: a flat file with SAM's names.
        const TemporaryFolder work;
        convertCheckpoint(folder() / wrapped, work.path() / "plain.pth", {});
        const Checkpoint flat = readCheckpoint(work.path() / "plain.pth");
        EXPECT_NE(flat.root.find("mask_decoder.iou_token.weight"), nullptr);
        expectWeights(*loadSam(work.path() / "plain.pth").network, trained);
    }
}

TEST(SamCheckpoints, RealSizeWeightsLoadIntoTheReferenceNames) {
    REQUIRE_SAM_FIXTURES();
    torch::manual_seed(3);
    const Sam network(samShape("vit_b"));
    const TemporaryFolder work;
    NamedTensors tensors;
    for (const auto& [name, tensor] : namedState(*network)) tensors.emplace_back(name, toRecord(tensor));
    writeTorchFile(work.path() / "sam_vit_b.pth", PickleValue::stateDict(tensors));
    const auto entries = json("keys/sam_vit_b.keys.json").at("entries");
    const NamedTensors written = readStateDict(work.path() / "sam_vit_b.pth").tensors;
    ASSERT_EQ(written.size(), entries.size());
    for (const auto& [name, record] : written) {
        ASSERT_TRUE(entries.contains(name)) << name;
        EXPECT_EQ(record.shape, entries.at(name).get<std::vector<std::int64_t>>()) << name;
    }
    expectWeights(*loadSam(work.path() / "sam_vit_b.pth").network, tensors);
}

}  // namespace
}  // namespace medseg
