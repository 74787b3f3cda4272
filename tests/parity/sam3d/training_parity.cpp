// Optimiser, schedule and losses of the fine-tuning against <fixtures>/sam3d/05_lora.
#include "fixture.h"
#include "medseg/nn/linear.h"
#include "medseg/nn/sam3d/mesh_losses.h"
#include "medseg/train/one_cycle.h"
#include "medseg/train/optimizer.h"

namespace medseg {
namespace {

using test::Json;

class Sam3dTraining : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/05_lora");
        fixture_ = std::make_unique<test::Sam3dFixture>("05_lora");
    }
    std::unique_ptr<test::Sam3dFixture> fixture_;
};

TEST_F(Sam3dTraining, Schedule) {
    const auto table = fixture_->tensor("schedule");
    OneCycle cycle;  // the rest of the values is that of torch's defaults
    cycle.steps = table.size(0);
    cycle.highestRate = table.select(1, 0).max().item<double>();
    // The position of the highest rate tells the share of the rise.
    cycle.rise =
        static_cast<double>(table.select(1, 0).argmax().item<std::int64_t>() + 1) / static_cast<double>(cycle.steps);
    for (std::int64_t step = 0; step < cycle.steps; ++step) {
        const double rate = table[step][0].item<double>(), momentum = table[step][1].item<double>();
        EXPECT_NEAR(cycle.rate(step), rate, 1e-12 + 1e-9 * rate) << step;
        EXPECT_NEAR(cycle.momentum(step), momentum, 1e-9) << step;
    }
}

TEST_F(Sam3dTraining, AdapterStepsOfTheOptimiser) {
    const Json expected = fixture_->json("opt.json");
    const Json& hyper = fixture_->hyper().at("lora");
    const NamedTensors start = fixture_->weights("opt_init.safetensors");
    Linear linear(hyper.at("linear_in").get<int>(), hyper.at("linear_out").get<int>());
    linear->attachAdapter(hyper.at("rank"), hyper.at("alpha"), 0);
    const auto load = [&](torch::Tensor& target, const std::string& name) {
        torch::NoGradGuard noGradient;
        target.copy_(toTensor(*findTensor(start, name)));
    };
    load(linear->weight, "original_linear.weight");
    load(linear->bias, "original_linear.bias");
    load(linear->loraA, "lora_A");
    load(linear->loraB, "lora_B");
    TrainSettings settings;
    settings.optimizer = "adamw";
    settings.weightDecay = expected.at("weight_decay");
    settings.betas = {expected.at("max_momentum"), expected.at("beta2")};
    OneCycle cycle;
    cycle.steps = expected.at("steps");
    cycle.highestRate = expected.at("max_lr");
    cycle.rise = expected.at("pct_start");
    cycle.startDivisor = expected.at("div_factor");
    cycle.endDivisor = expected.at("final_div_factor");
    cycle.lowMomentum = expected.at("base_momentum");
    cycle.highMomentum = expected.at("max_momentum");
    Optimizer optimizer(settings, {linear->loraA, linear->loraB});
    const auto x = fixture_->tensor("opt.x"), y = fixture_->tensor("opt.y");
    const double rtol = fixture_->tolerance("optimiser_rtol");
    for (std::int64_t step = 0; step < cycle.steps; ++step) {
        const Json& log = expected.at("log").at(static_cast<std::size_t>(step));
        EXPECT_NEAR(cycle.rate(step), log.at("lr").get<double>(), 1e-9);
        EXPECT_NEAR(cycle.momentum(step), log.at("beta1").get<double>(), 1e-6);
        optimizer.zeroGradients();
        const auto loss = torch::mse_loss(linear->forward(x), y);
        EXPECT_NEAR(loss.item<double>(), log.at("loss").get<double>(), rtol * log.at("loss").get<double>());
        loss.backward();
        const double norm = optimizer.clipGradients(expected.at("clip_norm"));
        const double wanted = log.at("grad_norm_before_clip");
        EXPECT_NEAR(norm, wanted, rtol * wanted) << step;
        optimizer.setFirstBeta(cycle.momentum(step));
        optimizer.step(cycle.rate(step));
    }
    fixture_->expectClose(linear->loraA, fixture_->tensor("opt.final_A"), "lora_A", fixture_->tolerance("atol"), rtol);
    fixture_->expectClose(linear->loraB, fixture_->tensor("opt.final_B"), "lora_B", fixture_->tolerance("atol"), rtol);
}

TEST_F(Sam3dTraining, Losses) {
    const Json expected = fixture_->json("losses.json");
    const auto array = [&](const char* name) { return fixture_->tensor(std::string("losses.") + name); };
    const auto predicted = array("sdf_pred"), reference = array("sdf_gt");
    std::map<std::string, double> values;
    values["sdf_l1"] = signedDistanceLoss(predicted, reference).item<double>();
    values["sdf_l1_masked"] = signedDistanceLoss(predicted, reference, array("sdf_mask")).item<double>();
    values["sdf_mse"] = signedDistanceSquare(predicted, reference).item<double>();
    values["edge_length_variance"] = edgeLengthVariance(array("vertices"), array("faces")).item<double>();
    values["occupancy_bce"] =
        torch::binary_cross_entropy_with_logits(array("occ_logits"), array("occ_gt")).item<double>();
    for (const auto& [name, value] : values) {
        const double wanted = expected.at(name);
        EXPECT_NEAR(value, wanted, fixture_->tolerance("atol") + fixture_->tolerance("rtol") * std::abs(wanted))
            << name;
    }
}

}  // namespace
}  // namespace medseg
