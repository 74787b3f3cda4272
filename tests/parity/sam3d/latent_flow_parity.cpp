// The generator of structured latents against <fixtures>/sam3d/04f_slat_flow, sizes of the release against its
// manifest.
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam3d/condition_embedder.h"
#include "medseg/nn/sam3d/latent_flow.h"
#include "sparse_fixture.h"

namespace medseg {
namespace {

using test::Json;

LatentFlowShape latentShapeOf(const Json& hyper) {
    LatentFlowShape shape;
    shape.inChannels = hyper.at("in_channels");
    shape.outChannels = hyper.at("out_channels");
    shape.width = hyper.at("model_channels");
    shape.conditionWidth = hyper.at("cond_channels");
    shape.blocks = hyper.at("num_blocks");
    shape.heads = hyper.at("num_heads");
    shape.mlpRatio = hyper.at("mlp_ratio");
    shape.resBlocks = hyper.at("num_io_res_blocks");
    shape.ioChannels = hyper.at("io_block_channels").get<std::vector<std::int64_t>>();
    shape.headNorm = hyper.at("qk_rms_norm");
    if (hyper.contains("use_skip_connection")) shape.skips = hyper.at("use_skip_connection");
    return shape;
}

class Sam3dLatentFlow : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/04f_slat_flow");
        fixture_ = std::make_unique<test::Sam3dFixture>("04f_slat_flow");
        model_ = LatentFlow(latentShapeOf(fixture_->hyper()));
        test::loadWeights(*model_, fixture_->weights("model.safetensors"), "model");
        structure_ = test::structureOf(*fixture_);
        condition_ = model_->prepareCondition(fixture_->tensor("cond"));
    }
    std::unique_ptr<test::Sam3dFixture> fixture_;
    LatentFlow model_{nullptr};
    SparseStructurePointer structure_;
    LatentCondition condition_;
};

TEST_F(Sam3dLatentFlow, InputLevels) {
    const auto x = fixture_->tensor("x_t").squeeze(0);
    const auto levels = model_->inputLevels(x, *structure_, model_->timeEmbedding(fixture_->tensor("t")));
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const std::string name = "input_block" + std::to_string(i);
        if (exists(fixture_->path(name + ".npy"))) fixture_->expectClose(levels[i].features, name);
    }
    EXPECT_TRUE(torch::equal(levels.back().structure->coordinates(), fixture_->tensor("down_coords")));
}

TEST_F(Sam3dLatentFlow, Velocity) {
    const auto x = fixture_->tensor("x_t").squeeze(0), t = fixture_->tensor("t");
    fixture_->expectClose(model_->velocity(x, *structure_, t, condition_).unsqueeze(0), "v");
    fixture_->expectClose(model_->velocity(x, *structure_, t, model_->emptyCondition(1)).unsqueeze(0), "v_uncond");
}

TEST_F(Sam3dLatentFlow, TwoObjectsDoNotMix) {
    // The same object twice in a batch, its copy with another time and condition.
    const auto x = fixture_->tensor("x_t").squeeze(0), t = fixture_->tensor("t");
    auto copy = structure_->coordinates().clone();
    copy.select(1, 0).fill_(1);
    SparseStructure both(torch::cat({structure_->coordinates(), copy}));
    const auto tokens = fixture_->tensor("cond");
    const auto condition = model_->prepareCondition(torch::cat({tokens, tokens.flip({2})}));
    const auto v = model_->velocity(torch::cat({x, x}), both, torch::cat({t, t / 2}), condition);
    fixture_->expectClose(v.narrow(0, 0, x.size(0)).unsqueeze(0), "v");
    const auto alone = model_->velocity(x, *structure_, t / 2, model_->prepareCondition(tokens.flip({2})));
    fixture_->expectClose(v.narrow(0, x.size(0), x.size(0)), alone.detach(), "second object");
}

TEST_F(Sam3dLatentFlow, Sampler) {
    torch::NoGradGuard noGradient;
    const Json& hyper = fixture_->hyper().at("sampler");
    FlowSampling sampling;
    sampling.steps = hyper.at("num_steps");
    sampling.rescale = hyper.at("rescale_t");
    sampling.guidance = 0;
    EXPECT_EQ(kFlowTimeScale, hyper.at("time_scale").get<double>());
    const auto trajectory = fixture_->tensor("traj");
    int steps = 0;
    sampleLatents(model_, fixture_->tensor("noise").squeeze(0), *structure_, condition_, {}, sampling,
                  [&](int step, const torch::Tensor& state) {
                      fixture_->expectClose(state.unsqueeze(0), trajectory[step], "step " + std::to_string(step));
                      ++steps;
                  });
    EXPECT_EQ(steps, sampling.steps);
}

TEST_F(Sam3dLatentFlow, EveryParameterLearns) {
    const auto x = fixture_->tensor("x_t").squeeze(0);
    model_->velocity(x, *structure_, fixture_->tensor("t"), condition_).square().sum().backward();
    for (const auto& item : model_->named_parameters()) {
        ASSERT_TRUE(item.value().grad().defined()) << item.key();
        EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    }
}

TEST(Sam3dLatentManifests, ConditionEmbedder) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/manifests");
    ConditionShape shape;
    shape.latentStage = true;
    ConditionEmbedder embedder(shape);
    const Json manifest = Json::parse(readTextFile(test::fixtures() / "sam3d/manifests/slat_condition_embedder.json"));
    const std::string prefix = manifest.at("prefix_in_file");
    const auto state = namedState(*embedder);
    EXPECT_EQ(state.size(), manifest.at("keys").size());
    for (const auto& [key, tensor] : state) {
        ASSERT_TRUE(manifest.at("keys").contains(prefix + key)) << key;
        EXPECT_EQ(tensor.sizes().vec(), manifest.at("keys").at(prefix + key).get<std::vector<std::int64_t>>()) << key;
    }
    EXPECT_EQ(embedder->tokenCount(), manifest.at("hyperparameters").at("tokens").get<std::int64_t>());
}

TEST(Sam3dLatentManifests, Generator) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/manifests");
    LatentFlow model{LatentFlowShape{}};
    const Json manifest = Json::parse(readTextFile(test::fixtures() / "sam3d/manifests/slat_generator.json"));
    const std::string prefix = manifest.at("prefix_in_file");
    const auto& keys = manifest.at("keys");
    const auto state = namedState(*model);
    EXPECT_EQ(state.size(), keys.size());
    for (const auto& [key, tensor] : state) {
        ASSERT_TRUE(keys.contains(prefix + key)) << key;
        EXPECT_EQ(tensor.sizes().vec(), keys.at(prefix + key).get<std::vector<std::int64_t>>()) << key;
    }
    const Json counts =
        Json::parse(readTextFile(test::fixtures() / "sam3d/manifests/lora_counts.json")).at("slat_generator");
    LoraSettings settings;
    settings.rank = 4;
    settings.targets = {"to_qkv", "to_q", "to_kv", "to_out"};
    const LoraReport report = attachLora(*model, settings);
    EXPECT_EQ(report.layers.size(), counts.at("adapted_layers").get<std::size_t>());
    EXPECT_EQ(report.adapterValues, counts.at("rank4").get<std::int64_t>());
}

}  // namespace
}  // namespace medseg
