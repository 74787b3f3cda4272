// MedSAM's training step against medsam_train/: losses, gradients, and the weights after the steps.
#include <gtest/gtest.h>

#include <map>

#include "medseg/io/safetensors.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/sam/sam_file.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/train/optimizer.h"
#include "medseg/train/promptable_loss.h"
#include "medseg/train/promptable_step.h"
#include "parity/sam/sam_fixture.h"

namespace medseg {
namespace {

using namespace sam_fixture;

constexpr double kLossTolerance = 1e-5;
constexpr double kGradientTolerance = 1e-4;  ///< relative
constexpr double kGradientNoise = 1e-7;      ///< norms below are rounding
constexpr double kWeightTolerance = 1e-4;
constexpr double kNoiseOnlyTolerance = 6.1e-4;  ///< weights whose gradient is mathematically zero
constexpr double kSmallDifference = 1e-6;
constexpr double kShareAboveSmall = 2e-3;

TrainSettings settingsOf(const nlohmann::json& training) {
    TrainSettings settings;
    settings.optimizer = "adamw";
    settings.learningRate = training.at("lr");
    settings.weightDecay = training.at("weight_decay");
    settings.betas = training.at("betas").get<std::array<double, 2>>();
    settings.decayAll = true;
    return settings;
}

class SamTraining : public ::testing::Test {
  protected:
    void SetUp() override {
        REQUIRE_SAM_FIXTURES();
        network_ = loadSam(folder() / "sam_tiny.pth").network;
        network_->train();
        freezePromptEncoder(*network_);
        for (const auto& item : network_->named_parameters())
            if (item.value().requires_grad()) {
                names_.push_back(item.key());
                parameters_.push_back(item.value());
            }
        images_ = floats("medsam_train/images.npy");
        targets_ = array("medsam_train/gts.npy");
        boxes_ = floats("medsam_train/boxes.npy");
    }

    torch::Tensor predict() { return promptedLogits(*network_, network_->encodeImage(images_), boxes_, targets_); }

    Sam network_{nullptr};
    std::vector<std::string> names_;
    std::vector<torch::Tensor> parameters_;
    torch::Tensor images_, targets_, boxes_;
};

TEST_F(SamTraining, ParametersComeInTheOptimisersOrder) {
    EXPECT_EQ(names_, json("medsam_train/optimizer_param_order.json").get<std::vector<std::string>>());
}

TEST_F(SamTraining, GradientsOfTheFirstStep) {
    const torch::Tensor logits = predict();
    EXPECT_CLOSE(logits, floats("medsam_train/pred_step1.npy"), kTolerance);
    promptableLoss(logits, targets_).total().backward();
    const auto norms = json("medsam_train/grad_norms_step1.json");
    for (const auto& item : network_->named_parameters()) {
        const auto& expected = norms.contains(item.key()) ? norms.at(item.key()) : nlohmann::json(nullptr);
        const torch::Tensor gradient = item.value().grad();
        ASSERT_EQ(gradient.defined(), !expected.is_null()) << item.key();
        if (!gradient.defined()) continue;
        const double norm = expected.get<double>();
        const double found = gradient.norm().item<double>();
        if (norm < kGradientNoise)
            EXPECT_LT(found, 10 * kGradientNoise) << item.key();
        else
            EXPECT_NEAR(found, norm, kGradientTolerance * norm) << item.key();
    }
    const auto parameters = network_->named_parameters();
    for (const auto& [name, record] :
         readSafetensors(folder() / "medsam_train/grads_step1_selected.safetensors").tensors) {
        const torch::Tensor expected = toTensor(record);
        const double scale = expected.abs().max().item<double>();
        SCOPED_TRACE(name);
        EXPECT_CLOSE(parameters[name].grad(), expected, std::max(kGradientTolerance * scale, kGradientNoise));
    }
}

TEST_F(SamTraining, LossesAndWeightsOfAllSteps) {
    const auto training = config().at("training");
    const auto losses = json("medsam_train/losses.json").at("reference");
    Optimizer optimizer(settingsOf(training), parameters_);
    const NamedTensors before = weights();
    for (int step = 0; step < training.at("steps").get<int>(); ++step) {
        SCOPED_TRACE(step);
        optimizer.zeroGradients();
        const PromptableLoss loss = promptableLoss(predict(), targets_);
        const auto at = static_cast<std::size_t>(step);
        EXPECT_NEAR(loss.dice.item<double>(), losses.at("dice").at(at).get<double>(), kLossTolerance);
        EXPECT_NEAR(loss.bce.item<double>(), losses.at("bce").at(at).get<double>(), kLossTolerance);
        EXPECT_NEAR(loss.total().item<double>(), losses.at("total").at(at).get<double>(), kLossTolerance);
        loss.total().backward();
        optimizer.step(training.at("lr"));
    }
    const auto notes = json("medsam_train/param_differences.json");
    const auto state = namedState(*network_);
    const std::map<std::string, torch::Tensor> found(state.begin(), state.end());
    for (const auto& [name, record] : readSafetensors(folder() / "medsam_train/params_after3.safetensors").tensors) {
        const torch::Tensor expected = toTensor(record);
        const torch::Tensor difference = (found.at(name) - expected).abs();
        const bool noiseOnly = notes.contains(name) && notes.at(name).value("noise_only", false);
        const bool mixed = name.ends_with("attn.qkv.bias");  // its key part has no gradient
        EXPECT_LE(difference.max().item<double>(), noiseOnly || mixed ? kNoiseOnlyTolerance : kWeightTolerance) << name;
        if (!noiseOnly && !mixed) {
            EXPECT_LE(difference.gt(kSmallDifference).to(torch::kDouble).mean().item<double>(), kShareAboveSmall)
                << name;
        }
        if (name.starts_with("prompt_encoder.") || name.starts_with("mask_decoder.iou_prediction_head.")) {
            EXPECT_TRUE(torch::equal(found.at(name), expected)) << name << " does not learn";
        }
    }

    // The optimiser's state in the checkpoint of the same run.
    const TorchFile saved = readTorchFile(folder() / "medsam_train/ckpt_single.pth");
    const PickleValue ours = optimizer.stateDict(training.at("lr"));
    const auto& theirs = saved.root.at("optimizer").at("state");
    EXPECT_EQ(ours.at("state").entries().size(), theirs.entries().size());
    for (const auto& [index, entry] : theirs.entries()) {
        bool present = false;
        for (const auto& [ownIndex, ownEntry] : ours.at("state").entries()) {
            if (ownIndex.asInt() != index.asInt()) continue;
            present = true;
            const torch::Tensor expected = toTensor(entry.at("exp_avg").asTensor());
            EXPECT_CLOSE(toTensor(ownEntry.at("exp_avg").asTensor()), expected,
                         1e-3 * expected.abs().max().item<double>() + 1e-6);
        }
        EXPECT_TRUE(present) << "parameter " << index.asInt();
    }
}

}  // namespace
}  // namespace medseg
