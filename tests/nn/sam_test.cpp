#include <gtest/gtest.h>
#include <torch/torch.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/recompute.h"
#include "medseg/nn/sam/sam_file.h"
#include "medseg/nn/sam/sam_registry.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/recipe/sam_settings.h"

namespace medseg {
namespace {

/// Random weights everywhere, position tables too.
Sam randomSam(const SamShape& shape, int seed) {
    torch::manual_seed(seed);
    Sam network(shape);
    const torch::NoGradGuard noGradient;
    for (auto& item : network->named_parameters())
        if (item.value().abs().max().item<float>() == 0) item.value().normal_(0, 0.1);
    return network;
}

TEST(Sam, InputSizesOfNamedModelsAreKnownWithoutTorch) {
    for (const std::string& name : samModelNames()) {
        SamSettings settings;
        settings.model = name;
        EXPECT_EQ(samInputSize(settings), samShape(name).imageSize()) << name;
    }
    EXPECT_THROW(samShape("vit_q"), UsageError);
    EXPECT_THROW(samShape("vit_b", 1000), UsageError) << "no multiple of 16";
    EXPECT_EQ(samShape("vit_b", 512).prompt.gridHeight, 32);
}

TEST(Sam, TinyVitKeepsAQuarterOfTheResolution) {
    const torch::NoGradGuard noGradient;
    for (const char* name : {"lite_medsam", "mobile_sam"}) {
        SamShape shape = samShape(name, 64);
        Sam network = randomSam(shape, 1);
        network->eval();
        const torch::Tensor embedding = network->encodeImage(torch::rand({1, 3, 64, 64}));
        const std::int64_t grid = shape.prompt.gridHeight;
        EXPECT_EQ(grid, std::string(name) == "mobile_sam" ? 4 : 16);
        EXPECT_EQ(embedding.sizes(), (std::vector<std::int64_t>{1, 256, grid, grid})) << name;
    }
}

TEST(Sam, RecomputedActivationsGiveTheSameGradients) {
    Sam network = randomSam(samShape("vit_tiny"), 2);
    auto* encoder = dynamic_cast<VitImageEncoderImpl*>(network->imageEncoder.get());
    ASSERT_NE(encoder, nullptr);
    const torch::Tensor image = torch::rand({2, 3, 128, 128});
    std::vector<torch::Tensor> gradients[2];
    for (const bool recompute : {false, true}) {
        encoder->recomputeActivations(recompute);
        for (auto& parameter : encoder->parameters()) parameter.mutable_grad() = torch::Tensor();
        encoder->forward(image).square().mean().backward();
        for (const auto& parameter : encoder->parameters()) gradients[recompute].push_back(parameter.grad().clone());
    }
    for (std::size_t i = 0; i < gradients[0].size(); ++i)
        EXPECT_TRUE(torch::equal(gradients[0][i], gradients[1][i])) << encoder->named_parameters()[i].key();
}

TEST(Sam, FilesAreReadBackAndOthersRefused) {
    const TemporaryFolder work;
    Sam network = randomSam(samShape("vit_tiny"), 3);
    PickleValue file = samDescription([] {
        Recipe recipe;
        recipe.sam.style = "medsam";
        return recipe;
    }());
    file.set("epoch", 7);
    file.set("model_state_dict", stateDictOf(*network));
    writeTorchFile(work.path() / "best.pth", file);
    LoadedSam loaded = loadSam(work.path());
    EXPECT_EQ(loaded.style, "medsam");
    EXPECT_EQ(loaded.epochs, 7);
    EXPECT_EQ(loaded.network->shape().vit.globalBlocks, (std::vector<std::int64_t>{1, 3}));
    const torch::NoGradGuard noGradient;
    network->eval();
    const torch::Tensor image = torch::rand({1, 3, 128, 128});
    EXPECT_TRUE(torch::equal(loaded.network->encodeImage(image), network->encodeImage(image)));

    PickleValue incomplete = PickleValue::dict();
    NamedTensors tensors;
    for (const auto& [name, tensor] : namedState(*network))
        if (name != "mask_decoder.mask_tokens.weight") tensors.emplace_back(name, toRecord(tensor));
    writeTorchFile(work.path() / "incomplete.pth", PickleValue::stateDict(tensors));
    EXPECT_THROW(loadSam(work.path() / "incomplete.pth"), DataError);
    EXPECT_FALSE(isSamFile(work.path() / "missing.pth"));
    // Few bytes that claim a large network.
    for (auto& [name, record] : tensors)
        if (name == "image_encoder.blocks.0.mlp.lin1.weight") record = toRecord(torch::zeros({1}).expand({16000, 96}));
    for (int i = 4; i < 400; ++i)
        tensors.emplace_back("image_encoder.blocks." + std::to_string(i) + ".norm1.weight",
                             toRecord(torch::ones({96})));
    for (int i = 4; i < 400; ++i)
        tensors.emplace_back("image_encoder.blocks." + std::to_string(i) + ".attn.rel_pos_h",
                             toRecord(torch::ones({7, 32})));
    tensors.emplace_back("mask_decoder.mask_tokens.weight", toRecord(torch::ones({4, 64})));
    writeTorchFile(work.path() / "vast.pth", PickleValue::stateDict(tensors));
    EXPECT_THROW(loadSam(work.path() / "vast.pth"), DataError);
    tensors.clear();
    tensors.emplace_back("weight", toRecord(torch::rand({3})));
    writeTorchFile(work.path() / "other.pth", PickleValue::stateDict(tensors));
    EXPECT_FALSE(isSamFile(work.path() / "other.pth"));
    EXPECT_THROW(loadSam(work.path() / "other.pth"), DataError);
}

TEST(Sam, StartingWeightsMayComeFromAnotherImageSize) {
    const TemporaryFolder work;
    const Sam large = randomSam(samShape("vit_tiny", 256), 4);
    writeTorchFile(work.path() / "large.pth", stateDictOf(*large));
    Sam small = randomSam(samShape("vit_tiny"), 5);
    loadSamWeights(*small, work.path() / "large.pth");
    const auto source = large->named_parameters(), target = small->named_parameters();
    EXPECT_EQ(target["image_encoder.pos_embed"].sizes(), (std::vector<std::int64_t>{1, 16, 16, 96}));
    // Halving the grid averages neighbours.
    const torch::Tensor wide = source["image_encoder.pos_embed"];
    const torch::Tensor mean = (wide[0][0][0] + wide[0][0][1] + wide[0][1][0] + wide[0][1][1]) / 4;
    EXPECT_TRUE(torch::allclose(target["image_encoder.pos_embed"][0][0][0], mean, 1e-5, 1e-6));
    EXPECT_TRUE(torch::equal(target["mask_decoder.iou_token.weight"], source["mask_decoder.iou_token.weight"]));
}

}  // namespace
}  // namespace medseg
