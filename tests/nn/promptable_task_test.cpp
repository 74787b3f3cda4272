#include "medseg/train/promptable_task.h"

#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/npy.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/sam/sam_file.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/train/promptable_loss.h"
#include "medseg/train/trainer.h"

namespace medseg {
namespace {

constexpr std::int64_t kSize = 64;

/// Bright rectangles on a dark ground, two labels a slice.
void writeSlices(const fs::path& folder, int count) {
    createDirectories(folder / "imgs");
    createDirectories(folder / "gts");
    Random random(11);
    for (int n = 0; n < count; ++n) {
        std::vector<std::uint8_t> labels(kSize * kSize, 0);
        std::vector<float> image(kSize * kSize * 3, 0.1F);
        for (int label = 1; label <= 2; ++label) {
            const auto left = static_cast<std::int64_t>(random.index(20)) + (label - 1) * 30;
            const auto top = static_cast<std::int64_t>(random.index(40));
            for (std::int64_t y = top; y < top + 18; ++y)
                for (std::int64_t x = left; x < left + 12; ++x) {
                    const auto at = static_cast<std::size_t>(y * kSize + x);
                    labels[at] = static_cast<std::uint8_t>(label);
                    for (std::size_t c = 0; c < 3; ++c) image[3 * at + c] = 0.4F * static_cast<float>(label);
                }
        }
        const std::string name = "CT_T_1-00" + std::to_string(n) + ".npy";
        writeNpy(folder / "imgs" / name, NpyArray::of({kSize, kSize, 3}, image.data()));
        writeNpy(folder / "gts" / name, NpyArray::of({kSize, kSize}, labels.data()));
    }
}

class PromptableTraining : public ::testing::Test {
  protected:
    void SetUp() override {
        writeSlices(work_.path() / "slices", 6);
        request_.cache = work_.path() / "slices";
        Recipe& recipe = request_.recipe;
        recipe.model.kind = "sam";
        recipe.sam.model = "vit_tiny";
        recipe.sam.imageSize = kSize;
        recipe.data.holdOutEvery = 3;
        recipe.train.epochs = 3;
        recipe.train.batchSize = 2;
        recipe.train.optimizer = "adamw";
        recipe.train.decayAll = true;
        recipe.train.learningRate = 3e-4;
        recipe.train.schedule = "constant";
        recipe.train.gradientClip = 0;
        recipe.train.saveEvery = 0;
    }

    /// Trains into work/`name` and returns the weights afterwards.
    std::map<std::string, torch::Tensor> train(const std::string& name, bool resume = false) {
        request_.output = work_.path() / name;
        torch::manual_seed(5);
        PromptableTask task(request_);
        for (const auto& [key, tensor] : namedState(task.network())) first_[key] = tensor.clone();
        outcome_ = Trainer(request_.recipe.train, task, request_.output).run(resume);
        std::map<std::string, torch::Tensor> weights;
        for (const auto& [key, tensor] : namedState(task.network())) weights[key] = tensor.clone();
        return weights;
    }

    TemporaryFolder work_;
    TrainRequest request_;
    std::map<std::string, torch::Tensor> first_;
    TrainOutcome outcome_;
};

bool changed(const std::map<std::string, torch::Tensor>& a, const std::map<std::string, torch::Tensor>& b,
             const std::string& prefix) {
    for (const auto& [name, tensor] : a)
        if (name.starts_with(prefix) && !torch::equal(tensor, b.at(name))) return true;
    return false;
}

TEST_F(PromptableTraining, EncoderAndDecoderLearnThePromptEncoderDoesNot) {
    const auto last = train("run");
    EXPECT_TRUE(changed(first_, last, "image_encoder."));
    EXPECT_TRUE(changed(first_, last, "mask_decoder."));
    EXPECT_FALSE(changed(first_, last, "prompt_encoder."));
    for (const char* file : {"latest.pth", "best.pth", "split.json", "recipe.yaml", "validation_boxes.json"})
        EXPECT_TRUE(fs::exists(work_.path() / "run" / file)) << file;
    EXPECT_NE(readTorchFile(work_.path() / "run" / "latest.pth").root.find("optimizer_state_dict"), nullptr);
}

TEST_F(PromptableTraining, AResumedRunEndsWithTheSameBits) {
    const auto whole = train("whole");
    request_.recipe.train.epochs = 2;
    train("parts");
    request_.recipe.train.epochs = 3;
    const auto resumed = train("parts", true);
    for (const auto& [name, tensor] : whole) EXPECT_TRUE(torch::equal(tensor, resumed.at(name))) << name;
}

TEST_F(PromptableTraining, ADecoderLearnsFromKeptEmbeddings) {
    request_.recipe.sam.train = "decoder";
    const auto kept = train("kept");
    EXPECT_FALSE(changed(first_, kept, "image_encoder."));
    EXPECT_TRUE(changed(first_, kept, "mask_decoder."));
    EXPECT_TRUE(fs::exists(work_.path() / "kept" / "embeddings" / "CT_T_1-000.npy"));
    request_.recipe.sam.cacheEmbeddings = false;
    const auto fresh = train("fresh");
    for (const auto& [name, tensor] : kept) EXPECT_TRUE(torch::equal(tensor, fresh.at(name))) << name;
}

TEST_F(PromptableTraining, AdaptersLearnAndAreMergedOnLoading) {
    request_.recipe.sam.loraRank = 2;
    const auto last = train("lora");
    EXPECT_FALSE(torch::equal(last.at("image_encoder.blocks.0.attn.qkv.lora_B"),
                              first_.at("image_encoder.blocks.0.attn.qkv.lora_B")));
    EXPECT_TRUE(torch::equal(last.at("image_encoder.blocks.0.attn.qkv.weight"),
                             first_.at("image_encoder.blocks.0.attn.qkv.weight")));
    EXPECT_TRUE(torch::equal(last.at("image_encoder.pos_embed"), first_.at("image_encoder.pos_embed")));
    EXPECT_TRUE(changed(first_, last, "mask_decoder."));
    const LoadedSam loaded = loadSam(work_.path() / "lora" / "latest.pth");
    const auto weights = loaded.network->named_parameters();
    const torch::Tensor product = torch::matmul(last.at("image_encoder.blocks.0.attn.qkv.lora_B"),
                                                last.at("image_encoder.blocks.0.attn.qkv.lora_A"));
    EXPECT_TRUE(torch::allclose(weights["image_encoder.blocks.0.attn.qkv.weight"],
                                last.at("image_encoder.blocks.0.attn.qkv.weight") + 8 * product, 1e-5, 1e-6))
        << "alpha 16 over rank 2";
}

TEST_F(PromptableTraining, SlicesOfAnotherSizeAreRefused) {
    request_.recipe.sam.imageSize = 128;
    request_.output = work_.path() / "run";
    EXPECT_THROW(PromptableTask{request_}, UsageError);
}

TEST(PromptableLoss, ValuesByHand) {
    // Two pixels, p = 0.5 each, one of them wanted: Dice 1 - (2 * 0.5 + e) / (0.5 + 1 + e), BCE ln 2.
    const PromptableLoss loss =
        promptableLoss(torch::zeros({1, 1, 1, 2}), torch::tensor({1, 0}, torch::kByte).view({1, 1, 1, 2}));
    EXPECT_NEAR(loss.dice.item<double>(), 1 - (1 + 1e-5) / (1.5 + 1e-5), 1e-6);
    EXPECT_NEAR(loss.bce.item<double>(), std::log(2.0), 1e-6);
    EXPECT_NEAR(loss.total().item<double>(), loss.dice.item<double>() + loss.bce.item<double>(), 1e-6);
}

}  // namespace
}  // namespace medseg
