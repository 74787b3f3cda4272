#include "medseg/nn/lora/lora.h"

#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/linear.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

struct SmallBlockImpl : torch::nn::Module {
    SmallBlockImpl() {
        toQ = register_module("to_q", Linear(6, 6));
        toOut = register_module("to_out", Linear(6, 4, false));
        head = register_module("head", Linear(4, 2));
    }
    torch::Tensor forward(const torch::Tensor& x) {
        return head->forward(toOut->forward(torch::relu(toQ->forward(x))));
    }
    Linear toQ{nullptr}, toOut{nullptr}, head{nullptr};
};
TORCH_MODULE(SmallBlock);

LoraSettings smallSettings() {
    LoraSettings settings;
    settings.rank = 2;
    settings.alpha = 4;
    settings.targets = {"to_q", "to_out"};
    settings.train = {"head.bias"};
    return settings;
}

fs::path temporary(const std::string& name) {
    return fs::temp_directory_path() / fmt::format("medseg_lora_test_{}_{}", ::getpid(), name);
}

TEST(Lora, PatternsMatchAnyComponents) {
    EXPECT_TRUE(pathMatches("blocks.0.self_attn.to_qkv.shape", "to_qkv"));
    EXPECT_TRUE(pathMatches("blocks.0.self_attn.to_qkv.shape", "to_qkv.shape"));
    EXPECT_TRUE(pathMatches("blocks.0.self_attn.to_qkv.shape", "blocks.*.self_attn"));
    EXPECT_TRUE(pathMatches("blocks.0.self_attn.to_qkv.shape", "to_*"));
    EXPECT_FALSE(pathMatches("blocks.0.self_attn.to_qkv.shape", "to_q"));
    EXPECT_FALSE(pathMatches("blocks.0.self_attn.to_qkv.shape", "self_attn.shape"));
    // "out_layer" must not reach "out_layers", as it does in the Python trainer.
    EXPECT_FALSE(pathMatches("out_layers.0.conv", "out_layer"));
}

TEST(Lora, StartsAsTheNetworkAndTrainsOnlyWhatItSays) {
    torch::manual_seed(3);
    SmallBlock network;
    const auto x = torch::randn({5, 6});
    const auto before = network->forward(x);
    const LoraReport report = attachLora(*network, smallSettings());
    EXPECT_TRUE(torch::equal(network->forward(x), before));
    ASSERT_EQ(report.layers.size(), 2U);
    EXPECT_EQ(report.adapterValues, 2 * (6 + 6) + 2 * (6 + 4));
    EXPECT_EQ(report.trainableValues, report.adapterValues + 2);
    std::vector<std::string> trainable;
    for (const auto& item : network->named_parameters())
        if (item.value().requires_grad()) trainable.push_back(item.key());
    EXPECT_EQ(trainable,
              (std::vector<std::string>{"to_q.lora_A", "to_q.lora_B", "to_out.lora_A", "to_out.lora_B", "head.bias"}));
}

TEST(Lora, SavesLoadsMergesAndUnmerges) {
    torch::manual_seed(4);
    SmallBlock network;
    const auto x = torch::randn({5, 6});
    const fs::path base = temporary("base.pt"), adapters = temporary("lora.safetensors"), merged = temporary("out.pt");
    PickleValue root = PickleValue::dict();
    root.set("epoch", 7);
    root.set("model", stateDictOf(*network));
    writeTorchFile(base, root);

    attachLora(*network, smallSettings());
    {
        torch::NoGradGuard noGradient;
        for (auto& parameter : network->parameters())
            if (parameter.requires_grad()) parameter.add_(torch::randn_like(parameter));
    }
    const auto expected = network->forward(x);
    writeLoraCheckpoint(adapters, loraCheckpointOf(*network, smallSettings()));

    SmallBlock other;
    loadStateDict(*other, readTorchFile(base).root.at("model"), base.string());
    loadLora(*other, readLoraCheckpoint(adapters), adapters.string());
    EXPECT_TRUE(torch::equal(other->forward(x), expected));
    mergeLora(*other);
    EXPECT_TRUE(torch::allclose(other->forward(x), expected, 1e-5, 1e-6));
    unmergeLora(*other);
    EXPECT_TRUE(torch::allclose(other->forward(x), expected, 1e-5, 1e-6));

    const LoraMergeResult result = mergeLoraCheckpoint(base, adapters, merged);
    EXPECT_EQ(result.mergedLayers, 2U);
    EXPECT_EQ(result.replacedTensors, 1U);
    const TorchFile file = readTorchFile(merged);
    EXPECT_EQ(file.root.at("epoch").asInt(), 7);
    SmallBlock plain;
    loadStateDict(*plain, file.root.at("model"), merged.string());
    EXPECT_TRUE(torch::allclose(plain->forward(x), expected, 1e-5, 1e-6));
    for (const fs::path& path : {base, adapters, merged}) fs::remove(path);
}

TEST(Lora, DropoutActsInTrainingOnly) {
    torch::manual_seed(5);
    Linear linear(8, 8);
    linear->attachAdapter(2, 2, 0.5);
    {
        torch::NoGradGuard noGradient;
        linear->loraB.normal_();
    }
    const auto x = torch::randn({3, 8});
    linear->eval();
    EXPECT_TRUE(torch::equal(linear->forward(x), linear->forward(x)));
    linear->train();
    EXPECT_FALSE(torch::equal(linear->forward(x), linear->forward(x)));
}

TEST(Lora, RefusesWhatCannotBe) {
    SmallBlock network;
    LoraSettings settings = smallSettings();
    settings.targets = {"ffn"};
    settings.train.clear();
    EXPECT_THROW(attachLora(*network, settings), UsageError);
    settings = smallSettings();
    settings.train = {"out_layer"};
    EXPECT_THROW(attachLora(*network, settings), UsageError);
    settings.rank = 0;
    EXPECT_THROW(attachLora(*network, settings), UsageError);
    LoraCheckpoint lora;
    lora.settings = smallSettings();
    const float values[12] = {};
    lora.adapters = {{"to_q.lora_A", TensorRecord::ofFloats({2, 6}, values)}};
    const fs::path file = temporary("unpaired.pt");
    writeLoraCheckpoint(file, lora);
    EXPECT_THROW(readLoraCheckpoint(file), DataError);
    fs::remove(file);
}

}  // namespace
}  // namespace medseg
