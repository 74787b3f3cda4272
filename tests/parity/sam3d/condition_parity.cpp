// Condition embedders and preprocessing against <fixtures>/sam3d/03_condition.
#include "fixture.h"
#include "medseg/nn/sam3d/condition_embedder.h"

namespace medseg {
namespace {

using test::Json;

class Sam3dCondition : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/03_condition");
        fixture_ = std::make_unique<test::Sam3dFixture>("03_condition");
        noGradient_ = std::make_unique<torch::NoGradGuard>();
    }
    DinoShape dinoShape() const {
        const Json& hyper = fixture_->hyper();
        const Json& vit = hyper.at("vit");
        DinoShape shape;
        shape.nativeSize = vit.at("native_image_size");
        shape.inputSize = shape.nativeSize;
        shape.patchSize = vit.at("patch_size");
        shape.width = vit.at("embed_dim");
        shape.depth = vit.at("depth");
        shape.heads = vit.at("num_heads");
        shape.mlpRatio = vit.at("mlp_ratio");
        shape.registers = vit.at("num_register_tokens");
        shape.layerScale = vit.at("layer_scale");
        shape.epsilon = vit.at("norm_eps");
        shape.mean = hyper.at("image_mean").get<std::array<double, 3>>();
        shape.deviation = hyper.at("image_std").get<std::array<double, 3>>();
        return shape;
    }
    PointmapShape pointmapShape() const {
        const Json& hyper = fixture_->hyper().at("pointmap");
        PointmapShape shape;
        shape.inputSize = hyper.at("input_size");
        shape.patchSize = hyper.at("patch_size");
        shape.width = hyper.at("embed_dim");
        shape.heads = hyper.at("num_heads");
        shape.mlpRatio = hyper.at("mlp_ratio");
        shape.epsilon = hyper.at("norm_eps");
        shape.remap = hyper.at("remap");
        return shape;
    }
    std::unique_ptr<test::Sam3dFixture> fixture_;
    std::unique_ptr<torch::NoGradGuard> noGradient_;
};

TEST_F(Sam3dCondition, Dino) {
    Dino native(dinoShape());
    test::loadWeights(*native, fixture_->weights("dino_native.safetensors"), "dino_native");
    const auto image = fixture_->tensor("in.image");
    fixture_->expectClose(native->pixels(image), "dino_native.pixels");
    fixture_->expectClose(native->beforeNorm(image), "dino_native.x_prenorm");
    fixture_->expectClose(native->forward(image), "dino_native.tokens");
    fixture_->expectClose(native->forward(fixture_->tensor("in.mask")), "dino_native.mask_tokens");

    DinoShape resized = dinoShape();
    resized.inputSize = fixture_->hyper().at("dino_input_size");
    Dino other(resized);
    test::loadWeights(*other, fixture_->weights("dino_native.safetensors"), "dino_native");
    fixture_->expectClose(other->positions(), "dino_interp.pos_embed");
    fixture_->expectClose(other->forward(image), "dino_interp.tokens");
    fixture_->expectClose(other->plainTokens(image), "dino_prenorm.tokens");
}

TEST_F(Sam3dCondition, Pointmap) {
    PointmapEmbedder embedder(pointmapShape());
    test::loadWeights(*embedder, fixture_->weights("pointmap.safetensors"), "pointmap");
    const auto pointmap = fixture_->tensor("in.pointmap");
    fixture_->expectClose(embedder->points(pointmap), "pointmap.points");
    fixture_->expectClose(embedder->forward(pointmap), "pointmap.tokens");
    fixture_->expectClose(embedder->forward(fixture_->tensor("in.rgb_pointmap")), "pointmap.tokens_full");

    PointmapShape exponential = pointmapShape();
    exponential.remap = "exp";
    PointmapEmbedder other(exponential);
    test::loadWeights(*other, fixture_->weights("pointmap.safetensors"), "pointmap");
    fixture_->expectClose(other->forward(pointmap.abs()), "pointmap_exp.tokens");
}

TEST_F(Sam3dCondition, Fuser) {
    const Json& hyper = fixture_->hyper().at("fuser");
    ConditionShape shape;
    shape.dino = dinoShape();
    shape.dino.inputSize = fixture_->hyper().at("dino_input_size");
    shape.pointmap = pointmapShape();
    shape.width = hyper.at("embed_dim");
    shape.projectionRatio = hyper.at("projection_multiplier");
    shape.hiddenMultiple = hyper.at("ffn_multiple_of");
    shape.normEpsilon = hyper.at("pre_norm_eps");
    EXPECT_EQ(shape.hiddenWidth(), hyper.at("hidden_dims").at(0).get<std::int64_t>());
    ConditionEmbedder fuser(shape);
    test::loadWeights(*fuser, fixture_->weights("fuser.safetensors"), "fuser");
    ConditionImages images;
    for (std::size_t i = 0; i < kConditionStreams; ++i)
        images.streams[i] = fixture_->tensor("in." + hyper.at("streams").at(i).get<std::string>());
    const auto tokens = fuser->forward(images);
    EXPECT_EQ(tokens.size(1), fuser->tokenCount());
    fixture_->expectClose(tokens, "fuser.tokens");
    fixture_->expectClose(fuser->forward(images, false), "fuser.tokens_no_pointmap");
}

TEST_F(Sam3dCondition, Preprocessing) {
    const Json& hyper = fixture_->hyper().at("preprocessing");
    ConditionPreprocessing settings;
    settings.targetSize = hyper.at("target_size");
    settings.boxFactor = hyper.at("box_size_factor");
    const auto mask = fixture_->tensor("pre.mask");
    const CropRectangle box = squareAround(mask, settings.boxFactor);
    EXPECT_EQ((std::vector<std::int64_t>{box.left, box.top, box.right, box.bottom}),
              hyper.at("bbox").get<std::vector<std::int64_t>>());
    auto prepared = prepareCondition(fixture_->tensor("pre.image"), mask, fixture_->tensor("pre.pointmap"), settings);
    const double atol = fixture_->tolerance("preprocessing_atol"), rtol = fixture_->tolerance("rtol");
    const auto expect = [&](const torch::Tensor& actual, const std::string& name) {
        fixture_->expectClose(actual, fixture_->tensor("pre.out." + name), name, atol, rtol);
    };
    expect(prepared.normalization.shift, "shift");
    expect(prepared.normalization.scale, "scale");
    const Json& streams = fixture_->hyper().at("fuser").at("streams");
    for (std::size_t i = 0; i < kConditionStreams; ++i)
        expect(prepared.images.streams[i], streams.at(i).get<std::string>());
}

}  // namespace
}  // namespace medseg
