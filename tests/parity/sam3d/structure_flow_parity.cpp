// The structure generator, its samplers and losses against <fixtures>/sam3d/02_ss_flow, and with adapters against
// 05_lora.
#include "flow_fixture.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam3d/flow_loss.h"
#include "medseg/nn/sam3d/flow_sampler.h"

namespace medseg {
namespace {

using test::Json;

class Sam3dStructureFlow : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/02_ss_flow");
        fixture_ = std::make_unique<test::Sam3dFixture>("02_ss_flow");
        model_ = StructureFlow(test::flowShapeOf(fixture_->hyper()));
        test::loadWeights(*model_, fixture_->weights("model.safetensors"), "model");
        condition_ = model_->prepareCondition(fixture_->tensor("cond"), true);
    }
    FlowState state(const std::string& prefix) const { return test::flowState(*fixture_, model_->shape(), prefix); }
    FlowCondition empty(std::int64_t batch) { return model_->emptyCondition(batch, true); }
    double timeScale() const { return fixture_->hyper().at("sampler").at("time_scale"); }

    std::unique_ptr<test::Sam3dFixture> fixture_;
    StructureFlow model_{nullptr};
    FlowCondition condition_;
};

TEST_F(Sam3dStructureFlow, Parts) {
    const auto t = fixture_->tensor("t"), d = fixture_->tensor("d");
    fixture_->expectClose(model_->timeEmbedding(t), "t_emb");
    fixture_->expectClose(model_->stepEmbedding(d), "d_emb");
    const FlowState tokens = model_->streamTokens(state("x_t"));
    test::expectState(*fixture_, tokens, "tokens_in");
    const auto embedding = model_->timeEmbedding(t) + model_->stepEmbedding(d);
    test::expectState(*fixture_, model_->runBlock(0, tokens, embedding, condition_), "block0");
}

TEST_F(Sam3dStructureFlow, PositionTable) {
    // The stored table is the sinusoid that a new network starts with.
    const StructureFlow fresh(model_->shape());
    const std::string name = "latent_mapping.shape.pos_emb";
    fixture_->expectClose(fresh->named_buffers()[name], model_->named_buffers()[name], name);
}

TEST_F(Sam3dStructureFlow, Velocity) {
    const auto t = fixture_->tensor("t"), d = fixture_->tensor("d");
    const FlowState x = state("x_t");
    test::expectState(*fixture_, model_->velocity(x, t, d, condition_), "v");
    test::expectState(*fixture_, model_->velocity(x, t, {}, condition_), "v_no_d");
    test::expectState(*fixture_, model_->velocity(x, t, d, empty(t.size(0))), "v_uncond");
    // Without the pose the shape is bit for bit the same.
    const auto shapeOnly = model_->velocity({{kShapeLatent, x.at(kShapeLatent)}}, t, d,
                                            model_->prepareCondition(fixture_->tensor("cond"), false));
    EXPECT_EQ(shapeOnly.size(), 1U);
    EXPECT_TRUE(torch::equal(shapeOnly.at(kShapeLatent), model_->velocity(x, t, d, condition_).at(kShapeLatent)));
}

TEST_F(Sam3dStructureFlow, GuidedSampler) {
    const Json& hyper = fixture_->hyper().at("sampler");
    EXPECT_EQ(kFlowTimeScale, timeScale());
    FlowSampling sampling;
    sampling.steps = hyper.at("num_steps");
    sampling.rescale = hyper.at("rescale_t");
    sampling.guidance = hyper.at("cfg_strength");
    sampling.interval = hyper.at("cfg_interval").get<std::array<double, 2>>();
    sampling.shortcut = !hyper.at("no_shortcut").get<bool>();
    const std::vector<double> times = samplerTimes(sampling.steps, sampling.rescale);
    fixture_->expectClose(torch::tensor(times, torch::kDouble), fixture_->tensor("sampler_times"), "sampler_times", 0,
                          1e-14);
    const FlowState noise = state("noise"), trajectory = state("traj");
    const auto condition = model_->prepareCondition(fixture_->tensor("cond").narrow(0, 0, 1), true);
    torch::NoGradGuard noGradient;
    int steps = 0;
    sampleFlow(model_, noise, condition, empty(1), sampling, [&](int step, const FlowState& now) {
        for (const auto& [name, value] : now)
            fixture_->expectClose(value, trajectory.at(name)[step], name, fixture_->tolerance("trajectory_atol"));
        ++steps;
    });
    EXPECT_EQ(steps, sampling.steps);
}

TEST_F(Sam3dStructureFlow, DistilledSampler) {
    const auto condition = model_->prepareCondition(fixture_->tensor("cond").narrow(0, 0, 1), true);
    torch::NoGradGuard noGradient;
    const FlowState result = sampleFlow(model_, state("noise"), condition, condition, FlowSampling::distilled());
    test::expectState(*fixture_, result, "distilled", fixture_->tolerance("trajectory_atol"));
}

TEST_F(Sam3dStructureFlow, FlowMatchingLoss) {
    const Json expected = fixture_->json("loss.json");
    const auto weights = expected.at("loss_weights").get<std::map<std::string, double>>();
    const FlowLoss loss =
        flowMatchingLoss(model_, state("loss.x0"), state("loss.x1"), fixture_->tensor("loss.t"), condition_, weights);
    const double rtol = fixture_->tolerance("rtol"), atol = fixture_->tolerance("atol");
    for (const auto& [name, value] : loss.latents) {
        const double wanted = expected.at("per_latent_mse").at(name);
        EXPECT_NEAR(value.item<double>(), wanted, atol + rtol * wanted) << name;
    }
    const double wanted = expected.at("flow_matching_loss");
    EXPECT_NEAR(loss.total.item<double>(), wanted, atol + rtol * wanted);
    loss.total.backward();
    const NamedTensors gradients = fixture_->weights("grads_flow_loss.safetensors");
    const auto parameters = model_->named_parameters();
    for (const auto& [name, record] : gradients) {
        const auto gradient = toTensor(record);
        const auto& own = parameters[name].grad();
        ASSERT_TRUE(own.defined()) << name;
        // Entries are compared relative to the largest one of their tensor.
        const double scale = gradient.abs().max().item<double>();
        EXPECT_LE((own - gradient).abs().max().item<double>(), fixture_->tolerance("gradient_rtol") * scale + 1e-7)
            << name;
    }
}

TEST_F(Sam3dStructureFlow, ShapeLossLeavesThePoseAlone) {
    const Json expected = fixture_->json("loss_shape_only.json");
    const FlowLoss loss = flowMatchingLoss(model_, state("loss.x0"), state("loss.x1"), fixture_->tensor("loss.t"),
                                           condition_, {{kShapeLatent, 1.0}});
    const double wanted = expected.at("loss");
    EXPECT_NEAR(loss.total.item<double>(), wanted, fixture_->tolerance("rtol") * wanted);
    loss.total.backward();
    const auto parameters = model_->named_parameters();
    for (const auto& [name, value] : expected.at("grad_norm").items()) {
        const auto& gradient = parameters[name].grad();
        const double norm = gradient.defined() ? gradient.norm().item<double>() : 0.0;
        EXPECT_NEAR(norm, value.get<double>(), fixture_->tolerance("gradient_rtol") * value.get<double>() + 1e-7)
            << name;
    }
}

TEST_F(Sam3dStructureFlow, SelfConsistencyTargets) {
    const auto t = fixture_->tensor("sc.t"), d = fixture_->tensor("sc.d");
    const FlowState x = state("x_t");
    const auto none = empty(t.size(0));
    test::expectState(*fixture_, shortcutTarget(model_, x, t, d, condition_, none, 0), "sc.cond_only");
    test::expectState(*fixture_, shortcutTarget(model_, x, t, d, condition_, none, 2), "sc.cfg");
}

TEST(Sam3dLoraFlow, VelocityLossAndGradients) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/05_lora");
    const test::Sam3dFixture fixture("05_lora");
    StructureFlow model(test::flowShapeOf(fixture.hyper().at("model")));
    test::loadWeights(*model, fixture.weights("flow_base.safetensors"), "flow_base");
    LoraCheckpoint lora;
    lora.settings.rank = fixture.hyper().at("lora").at("rank");
    lora.settings.alpha = fixture.hyper().at("lora").at("alpha");
    lora.settings.targets = fixture.hyper().at("lora").at("target_components").get<std::vector<std::string>>();
    lora.adapters = fixture.weights("flow_lora.safetensors");
    const Json expected = fixture.json("flow.json");

    const LoraReport report = attachLora(*model, lora.settings);
    EXPECT_EQ(report.layers.size(), expected.at("injected_layers").get<std::size_t>());
    EXPECT_EQ(report.adapterValues, expected.at("parameters").at("lora").get<std::int64_t>());
    EXPECT_EQ(report.trainableValues, expected.at("parameters").at("trainable").get<std::int64_t>());
    EXPECT_EQ(report.totalValues, expected.at("parameters").at("total").get<std::int64_t>());

    loadLora(*model, lora, "flow_lora");
    const auto condition = model->prepareCondition(fixture.tensor("flow.cond"), true);
    const FlowLoss loss = flowMatchingLoss(model, test::flowState(fixture, model->shape(), "flow.x0"),
                                           test::flowState(fixture, model->shape(), "flow.x1"),
                                           fixture.tensor("flow.t"), condition, {{kShapeLatent, 1.0}});
    fixture.expectClose(loss.velocity.at(kShapeLatent), "flow.v.shape");
    const double wanted = expected.at("shape_mse_loss");
    EXPECT_NEAR(loss.total.item<double>(), wanted, fixture.tolerance("rtol") * wanted);
    loss.total.backward();
    for (const auto& [name, value] : expected.at("lora_grad_norm").items()) {
        const auto gradient = model->named_parameters()[name].grad();
        const double norm = gradient.defined() ? gradient.norm().item<double>() : 0.0;
        EXPECT_NEAR(norm, value.get<double>(), fixture.tolerance("gradient_rtol") * value.get<double>() + 1e-7) << name;
    }
    for (const auto& item : model->named_parameters()) {
        if (item.key().ends_with(".lora_A") || item.key().ends_with(".lora_B")) continue;
        EXPECT_FALSE(item.value().grad().defined()) << item.key();
    }
    mergeLora(*model);
    const auto parameters = model->named_parameters();
    for (const auto& [name, tensor] : fixture.weights("flow_merged.safetensors"))
        fixture.expectClose(parameters[name], toTensor(tensor), name);
}

}  // namespace
}  // namespace medseg
