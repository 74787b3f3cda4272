// Fine-tuning as MedSAM2 (2024): losses, gradients, and the weights after three updates.
#include <algorithm>
#include <set>

#include "fixture.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/state_dict.h"
#include "medseg/nn/sam2/fine_tuning.h"
#include "medseg/nn/sam2/image_predictor.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/train/optimizer.h"
#include "medseg/train/promptable_loss.h"

namespace medseg::test {
namespace {

using nlohmann::json;

std::vector<torch::Tensor> trainable(const torch::nn::Module& network) {
    std::vector<torch::Tensor> parameters;
    for (const auto& parameter : network.parameters())
        if (parameter.requires_grad()) parameters.push_back(parameter);
    return parameters;
}

void checkGradients(const Sam2& model) {
    const json norms = sam2Json("finetune/grad_norms_step1.json");
    const SafetensorsFile selected = readSafetensors(sam2Fixture("finetune/selected_grads_step1.safetensors"));
    for (const auto& item : model->named_parameters()) {
        const json& expected = norms.at(item.key());
        if (expected.at("status") != "in optimiser") {
            EXPECT_FALSE(item.value().requires_grad()) << item.key();
            continue;
        }
        const torch::Tensor& gradient = item.value().grad();
        if (expected.at("grad_norm").is_null()) {
            EXPECT_FALSE(gradient.defined()) << item.key();
            continue;
        }
        ASSERT_TRUE(gradient.defined()) << item.key();
        const double norm = expected.at("grad_norm");
        // Either true, or a text that says that the gradient is exactly zero.
        if (expected.contains("noise_dominated") && expected.at("noise_dominated").is_string()) {
            EXPECT_EQ(gradient.norm().item<double>(), 0) << item.key();
        } else if (!expected.contains("noise_dominated")) {
            EXPECT_NEAR(gradient.norm().item<double>(), norm, 1e-3 * norm + 1e-12) << item.key();
        }
        if (const TensorRecord* record = findTensor(selected.tensors, item.key())) {
            const torch::Tensor wanted = toTensor(*record);
            expectNear(gradient, wanted, 1e-3 * wanted.abs().max().item<double>() + 1e-9, item.key());
        }
    }
}

/// True where a weight's gradient is mathematically zero, so that Adam makes steps out of rounding noise.
torch::Tensor unstableValues(const std::string& name, const torch::Tensor& values,
                             const std::set<std::string>& unstable) {
    torch::Tensor mask = torch::full_like(values, unstable.contains(name), torch::kBool);
    if (name.ends_with("qkv.bias")) {
        mask.zero_();
        const std::int64_t third = values.size(0) / 3;
        mask.slice(0, third, 2 * third).fill_(true);
    }
    return mask;
}

void checkState(const Sam2& model) {
    const json list = sam2Json("finetune/unstable_updates.json").at("unstable_update_parameters");
    const std::set<std::string> unstable(list.begin(), list.end());
    const SafetensorsFile expected = readSafetensors(sam2Fixture("finetune/state_after_3_steps.safetensors"));
    const auto state = namedState(*model);
    std::int64_t values = 0, near = 0;
    for (const auto& [name, record] : expected.tensors) {
        const auto found =
            std::find_if(state.begin(), state.end(), [&](const auto& item) { return item.first == name; });
        ASSERT_NE(found, state.end()) << name;
        const torch::Tensor difference = (found->second.detach() - toTensor(record)).abs();
        const torch::Tensor loose = unstableValues(name, difference, unstable);
        const torch::Tensor firm = difference.masked_fill(loose, 0);
        EXPECT_LE(firm.max().item<double>(), 3e-5) << name;
        EXPECT_LE(difference.max().item<double>(), 4e-4) << name;
        values += firm.numel();
        near += (firm <= 6e-6).sum().item<std::int64_t>();
    }
    EXPECT_GE(static_cast<double>(near), 0.999 * static_cast<double>(values));
}

TEST(Sam2Parity, FineTuning) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json losses = sam2Json("finetune/losses.json");
    Sam2 model = tinyModel("image");
    model->train();
    trainOnly(*model, {"image_encoder", "mask_decoder"});
    const torch::Tensor bytes = sam2Array("finetune/images_u8.npy");
    const torch::Tensor images = imagesToInput(bytes, model->settings().imageSize);
    const torch::Tensor resized = sam2Array("finetune/resized01.npy");
    expectNear(images, normalizeColors(resized.expand({-1, 3, -1, -1})), 5 * kCodeLimit, "finetune/resized01.npy");
    const torch::Tensor boxes = sam2Array("finetune/boxes.npy");
    const torch::Tensor targets = sam2Array("finetune/gt.npy").to(torch::kFloat);

    TrainSettings settings;
    settings.optimizer = losses.at("optimizer") == "AdamW" ? "adamw" : "adam";
    settings.weightDecay = losses.at("weight_decay");
    settings.betas = {losses.at("betas").at(0), losses.at("betas").at(1)};
    settings.decayAll = true;
    Optimizer optimizer(settings, trainable(*model));
    const json& steps = losses.at("steps");
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const torch::Tensor logits = boxLogits(*model, images, boxes);
        const PromptableLoss loss = promptableLoss(logits, targets);
        const double limit = i == 0 ? 1e-5 : 5e-5;
        EXPECT_NEAR(loss.total().item<double>(), steps[i].at("loss").get<double>(), limit) << "step " << i + 1;
        EXPECT_NEAR(loss.dice.item<double>(), steps[i].at("dice").get<double>(), limit) << "step " << i + 1;
        EXPECT_NEAR(loss.bce.item<double>(), steps[i].at("bce").get<double>(), limit) << "step " << i + 1;
        const bool last = i + 1 == steps.size();
        expectFixture(logits,
                      last ? "finetune/logits_after_step" + std::to_string(i) + ".npy"
                           : "finetune/logits_step" + std::to_string(i + 1) + ".npy",
                      kLogitLimit);
        if (last) break;
        optimizer.zeroGradients();
        loss.total().backward();
        if (i == 0) checkGradients(model);
        optimizer.step(losses.at("lr"));
    }
    checkState(model);
}

TEST(Sam2FineTuning, NamesPartsThatCannotBeTrained) {
    Sam2 model(tinySettings(""));
    EXPECT_ANY_THROW(trainOnly(*model, {"memory_encoder"}));
    EXPECT_ANY_THROW(trainOnly(*model, {}));
}

}  // namespace
}  // namespace medseg::test
