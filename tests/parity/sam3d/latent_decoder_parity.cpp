// Mesh and Gaussian decoder against <fixtures>/sam3d/04c and 04e, sizes of the release against its manifests.
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam3d/gaussian_decoder.h"
#include "medseg/nn/sam3d/mesh_decoder.h"
#include "medseg/nn/sam3d/sam3d_model.h"
#include "sparse_fixture.h"

namespace medseg {
namespace {

using test::Json;

class Sam3dMeshDecoder : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/04c_mesh_decoder");
        fixture_ = std::make_unique<test::Sam3dFixture>("04c_mesh_decoder");
        const Json& hyper = fixture_->hyper();
        MeshDecoderShape shape;
        shape.torso = test::torsoShapeOf(hyper);
        shape.resolution = hyper.at("resolution");
        shape.groups = hyper.at("num_groups");
        shape.colors = hyper.at("use_color");
        decoder_ = MeshDecoder(shape);
        test::loadWeights(*decoder_, fixture_->weights("model.safetensors"), "model");
        structure_ = test::structureOf(*fixture_);
    }
    /// Vertices may be numbered alike only; faces are exact.
    void expectMesh(const DecodedMesh& mesh, const std::string& prefix) {
        fixture_->expectClose(mesh.vertices, fixture_->tensor(prefix + ".vertices"), prefix + ".vertices",
                              fixture_->tolerance("vertices_atol"));
        EXPECT_TRUE(torch::equal(mesh.faces, fixture_->tensor(prefix + ".faces"))) << prefix;
        fixture_->expectClose(mesh.attributes, fixture_->tensor(prefix + ".colors"), prefix + ".colors",
                              fixture_->tolerance("vertices_atol"));
    }
    void expectTraining(const DecodedMesh& mesh) {
        fixture_->expectClose(mesh.regulariser.reshape({1}), "train.reg_loss");
        fixture_->expectClose(mesh.supportPoints, "train.tsdf_v");
        fixture_->expectClose(mesh.supportDistance, "train.tsdf_s");
    }
    std::unique_ptr<test::Sam3dFixture> fixture_;
    MeshDecoder decoder_{nullptr};
    SparseStructurePointer structure_;
};

TEST_F(Sam3dMeshDecoder, Steps) {
    torch::NoGradGuard noGradient;
    const auto x = decoder_->torso()->forward(fixture_->tensor("feats"), *structure_);
    fixture_->expectClose(x, "torso");
    const auto up0 = decoder_->upsampling(0)->forward(x, *structure_);
    fixture_->expectClose(up0, "up0");
    fixture_->expectClose(decoder_->upsampling(1)->forward(up0, *structure_->subdivided()), "up1");
    const DecodedField field = decoder_->forward(fixture_->tensor("feats"), structure_);
    EXPECT_TRUE(torch::equal(field.structure->coordinates(), fixture_->tensor("raw_coords")));
    fixture_->expectClose(field.channels, "raw_feats");
    EXPECT_EQ(decoder_->shape().meshResolution(), fixture_->hyper().at("mesh_resolution").get<std::int64_t>());
}

TEST_F(Sam3dMeshDecoder, MeshFromStoredChannels) {
    const auto coordinates = fixture_->tensor("raw_coords").narrow(1, 1, 3), channels = fixture_->tensor("raw_feats");
    const std::int64_t resolution = fixture_->hyper().at("mesh_resolution");
    const MeshChannels layout{decoder_->shape().colors};
    EXPECT_EQ(layout.count(), fixture_->hyper().at("out_channels").get<std::int64_t>());
    expectMesh(extractMesh(coordinates, channels, resolution, layout, false), "eval");
    const DecodedMesh training = extractMesh(coordinates, channels, resolution, layout, true);
    expectMesh(training, "train");
    expectTraining(training);
}

TEST_F(Sam3dMeshDecoder, EndToEnd) {
    const DecodedField field = decoder_->forward(fixture_->tensor("feats"), structure_);
    expectMesh(decoder_->meshes(field, false).at(0), "eval");
    const DecodedMesh training = decoder_->meshes(field, true).at(0);
    expectMesh(training, "train");
    expectTraining(training);
    EXPECT_EQ(training.vertices.size(0), fixture_->hyper().at("expected").at("vertices").get<std::int64_t>());
    EXPECT_EQ(training.faces.size(0), fixture_->hyper().at("expected").at("faces").get<std::int64_t>());
    // Every parameter learns from a loss on vertices, attributes, support points and regulariser.
    (training.vertices.square().sum() + training.attributes.square().sum() + training.supportDistance.square().sum() +
     training.regulariser)
        .backward();
    for (const auto& item : decoder_->named_parameters()) {
        ASSERT_TRUE(item.value().grad().defined()) << item.key();
        EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
        EXPECT_GT(item.value().grad().abs().max().item<double>(), 0) << item.key();
    }
}

TEST(Sam3dGaussianDecoder, RawAndActivated) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/04e_gaussian_decoder");
    const test::Sam3dFixture fixture("04e_gaussian_decoder");
    const Json& hyper = fixture.hyper();
    const Json& config = hyper.at("representation_config");
    GaussianDecoderShape shape;
    shape.torso = test::torsoShapeOf(hyper);
    shape.resolution = hyper.at("resolution");
    shape.perVoxel = config.at("num_gaussians");
    shape.perturbOffset = config.at("perturb_offset");
    shape.voxelSize = config.at("voxel_size");
    shape.smallestScale = config.at("3d_filter_kernel_size");
    shape.scaleBias = config.at("scaling_bias");
    shape.opacityBias = config.at("opacity_bias");
    shape.softplus = config.at("scaling_activation") == "softplus";
    shape.offsetRate = config.at("lr").at("_xyz");
    shape.colorRate = config.at("lr").at("_features_dc");
    shape.scaleRate = config.at("lr").at("_scaling");
    shape.rotationRate = config.at("lr").at("_rotation");
    shape.opacityRate = config.at("lr").at("_opacity");
    GaussianDecoder decoder(shape);
    test::loadWeights(*decoder, fixture.weights("model.safetensors"), "model");
    const auto structure = test::structureOf(fixture);
    const auto raw = decoder->forward(fixture.tensor("feats"), *structure);
    fixture.expectClose(raw, "raw");
    const std::vector<Gaussians> items = decoder->gaussians(raw, *structure);
    ASSERT_EQ(items.size(), hyper.at("batch").get<std::size_t>());
    fixture.expectClose(items[0].centres, "item0.xyz");
    fixture.expectClose(items[0].colors, "item0.features");
    fixture.expectClose(items[0].scales, "item0.scaling");
    fixture.expectClose(items[0].rotations, "item0.rotation");
    fixture.expectClose(items[0].opacities, "item0.opacity");
}

/// Names and shapes of a manifest against a network of the official sizes.
void expectManifest(const torch::nn::Module& network, const std::string& name) {
    const Json manifest = Json::parse(readTextFile(test::fixtures() / "sam3d/manifests" / (name + ".json")));
    const std::string prefix = manifest.at("prefix_in_file");
    const auto& keys = manifest.at("keys");
    const auto state = namedState(network);
    EXPECT_EQ(state.size(), keys.size());
    for (const auto& [key, tensor] : state) {
        ASSERT_TRUE(keys.contains(prefix + key)) << key;
        EXPECT_EQ(tensor.sizes().vec(), keys.at(prefix + key).get<std::vector<std::int64_t>>()) << key;
    }
}

void expectAdapters(torch::nn::Module& network, const std::string& name) {
    const Json counts = Json::parse(readTextFile(test::fixtures() / "sam3d/manifests/lora_counts.json")).at(name);
    LoraSettings settings;
    settings.rank = 4;
    settings.targets = {"to_qkv", "to_q", "to_kv", "to_out"};
    const LoraReport report = attachLora(network, settings);
    EXPECT_EQ(report.layers.size(), counts.at("adapted_layers").get<std::size_t>());
    EXPECT_EQ(report.adapterValues, counts.at("rank4").get<std::int64_t>());
}

TEST(Sam3dLatentManifests, MeshDecoder) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/manifests");
    MeshDecoder decoder(meshDecoderShape("official"));
    expectManifest(*decoder, "slat_decoder_mesh");
    expectAdapters(*decoder, "slat_decoder_mesh");
}

TEST(Sam3dLatentManifests, GaussianDecoders) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/manifests");
    GaussianDecoderShape shape;
    expectManifest(*GaussianDecoder(shape), "slat_decoder_gs");
    shape.perVoxel = 4;
    expectManifest(*GaussianDecoder(shape), "slat_decoder_gs_4");
}

}  // namespace
}  // namespace medseg
