// SAM 3D's latent stage from training to surfaces, on a handful of ellipsoids.
#include <unistd.h>

#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/imaging/mesh.h"
#include "medseg/infer/reconstruction.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/pipeline/form_preparation.h"
#include "medseg/train/reconstruction_training.h"

namespace medseg {
namespace {

constexpr double kSpacing = 3;
constexpr double kRadius = 10;  // voxels

void writeCase(const fs::path& folder, const std::string& id, double shift) {
    const Geometry grid = Geometry::axisAligned({64, 64, 64}, {kSpacing, kSpacing, kSpacing}, {-90, -80, 40});
    Volume<float> image(grid);
    Volume<std::uint8_t> labels(grid);
    for (std::int64_t z = 0; z < 64; ++z)
        for (std::int64_t y = 0; y < 64; ++y)
            for (std::int64_t x = 0; x < 64; ++x) {
                const double dx = static_cast<double>(x) - 31 - shift, dy = static_cast<double>(y) - 30,
                             dz = static_cast<double>(z) - 33 + shift;
                const bool inside = dx * dx + 1.5 * dy * dy + 0.7 * dz * dz < kRadius * kRadius;
                labels(x, y, z) = inside ? 1 : 0;
                image(x, y, z) = inside ? 40.0F : -50.0F;
            }
    createDirectories(folder / id);
    writeImage(folder / id / (id + "-image.nii.gz"), AnyVolume(std::move(image)));
    writeImage(folder / id / (id + "-label.nii.gz"), AnyVolume(std::move(labels)));
}

class LatentStage : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder() = fs::temp_directory_path() / fmt::format("medseg_latent_stage_{}", ::getpid());
        for (int i = 0; i < 3; ++i) writeCase(folder() / "raw", fmt::format("s{:04}", i), 0.7 * i);
        prepareForm(recipe(), folder() / "cases");
    }
    static void TearDownTestSuite() { fs::remove_all(folder()); }
    static fs::path& folder() {
        static fs::path path;
        return path;
    }
    static Recipe recipe(const std::vector<std::string>& overrides = {}) {
        const std::string yaml = fmt::format(R"(
data: {{root: {}, split: case, validation_cases: [s0001.nii], test_cases: [s0002.nii]}}
prepare: {{form: sam3d, window: [-100, 200]}}
prepare_sam3d: {{classes: 1, spacing: 3}}
model: {{kind: sam3d}}
sam3d: {{preset: tiny, target: solid, vae_epochs: 1, vae_samples_per_epoch: 1, samples_per_epoch: 1,
        validation_samples: 1, latent_epochs: 2, latent_samples_per_epoch: 1, latent_voxels: 60}}
sampling: {{steps: 1, guidance: 0, latent_steps: 1, latent_guidance: 0}}
train: {{epochs: 1, batch_size: 1, optimizer: adamw, schedule: one_cycle, cycle_rise: 0.1, cycle_momentum: true,
        save_every: 1, keep_checkpoints: 0, tensorboard: false}}
)",
                                             (folder() / "raw").string());
        return recipeFromYaml(yaml, "test", overrides);
    }
    static TrainRequest request(const Recipe& recipe, const std::string& name) {
        TrainRequest request;
        request.recipe = recipe;
        request.cache = folder() / "cases";
        request.output = folder() / name;
        return request;
    }
    static void expectSameWeights(const fs::path& a, const fs::path& b, const char* entry) {
        const TorchFile first = readTorchFile(a), second = readTorchFile(b);
        const NamedTensors wanted = flattenTensors(first.root.at(entry)), found = flattenTensors(second.root.at(entry));
        ASSERT_FALSE(wanted.empty());
        for (const auto& [name, tensor] : wanted) {
            const TensorRecord* other = findTensor(found, name);
            ASSERT_NE(other, nullptr) << name;
            EXPECT_TRUE(torch::equal(toTensor(tensor), toTensor(*other))) << name;
        }
    }
    /// A folder like the release's, tiny and random.
    static fs::path release() {
        const fs::path weights = folder() / "release";
        createDirectories(weights);
        torch::manual_seed(3);
        const auto write = [&](const std::vector<std::pair<const torch::nn::Module*, Sam3dPart>>& parts) {
            PickleValue state = PickleValue::dict();
            for (const auto& [network, part] : parts)
                for (const auto& [name, tensor] : namedState(*network))
                    state.set(sam3dPrefix(part) + name, toRecord(tensor));
            PickleValue root = PickleValue::dict();
            root.set("state_dict", std::move(state));
            writeTorchFile(weights / sam3dFileName(parts.front().second), root);
        };
        const Sam3dNetwork structure(sam3dShape("tiny"));
        {
            // What random networks decode fills half of the cube; this one decodes nothing.
            torch::NoGradGuard noGradient;
            structure->decoder->parameters().back().fill_(-1000);
        }
        write({{structure->decoder.get(), Sam3dPart::StructureDecoder}});
        write({{structure->encoder.get(), Sam3dPart::StructureEncoder}});
        write({{structure->generator.get(), Sam3dPart::Generator},
               {structure->embedder.get(), Sam3dPart::ConditionEmbedder}});
        const LatentNetwork latent(latentShape(recipe({"sam3d.latents=generator"})));
        {
            // Networks start with closed gates; trained ones have open ones.
            torch::NoGradGuard noGradient;
            for (auto& parameter : latent->parameters())
                if (parameter.abs().max().item<double>() == 0) parameter.normal_(0, 0.05);
        }
        write({{latent->decoder.get(), Sam3dPart::MeshDecoder}});
        write({{latent->generator.get(), Sam3dPart::LatentGenerator},
               {latent->embedder.get(), Sam3dPart::LatentConditionEmbedder}});
        GaussianDecoderShape splats;
        splats.torso = latent->shape().mesh.torso;
        splats.perVoxel = 32;
        write({{GaussianDecoder(splats).get(), Sam3dPart::GaussianDecoder}});
        return weights;
    }
};

TEST_F(LatentStage, TrainsBothStagesAndPredicts) {
    const TrainRequest whole = request(recipe({"sam3d.stage=both", "sam3d.weights=" + release().string()}), "whole");
    trainReconstruction(whole);
    for (const char* name :
         {"best.pt", "latent/best.pt", "latent/latest.pt", "latent/epoch_1.pt", "latent/history.json"})
        EXPECT_TRUE(fs::exists(whole.output / name)) << name;

    // Nothing was found: a label map without voxels, a surface without triangles.
    ReconstructRequest predict;
    predict.model = whole.output;
    predict.image = folder() / "raw/s0002/s0002-image.nii.gz";
    predict.mask = folder() / "raw/s0002/s0002-label.nii.gz";
    predict.slices = {{2, 33}};
    predict.output = folder() / "label.nii.gz";
    predict.surface = folder() / "surface.obj";
    EXPECT_EQ(reconstructFile(predict).files.size(), 2U);
    EXPECT_TRUE(readLabelMap(predict.output).geometry().matches(readImage(predict.image).geometry()));
    EXPECT_TRUE(fs::exists(predict.surface));
    predict.overrides = {"sampling.mesh=false"};
    EXPECT_THROW(reconstructFile(predict), UsageError);
    predict.overrides.clear();
    predict.splats = folder() / "splats.ply";
    EXPECT_THROW(reconstructFile(predict), UsageError);  // the latents follow from the occupancy

    ReconstructCasesRequest cases;
    cases.model = whole.output;
    cases.cases = folder() / "cases";
    cases.output = folder() / "predictions";
    EXPECT_EQ(reconstructCases(cases).objects, 1);
    EXPECT_TRUE(fs::exists(cases.output / "s0002.nii_objects/label_1.obj"));
}

TEST_F(LatentStage, TrainsFromScratchResumesExactlyAndDecodes) {
    const TrainRequest whole = request(recipe({"sam3d.stage=latent"}), "scratch");
    trainReconstruction(whole);
    TrainRequest continued = request(recipe({"sam3d.stage=latent"}), "continued");
    continued.resumeFrom = whole.output / "latent/epoch_1.pt";
    trainReconstruction(continued);
    expectSameWeights(whole.output / "latent/latest.pt", continued.output / "latent/latest.pt", "model_state_dict");

    const auto decoder = SurfaceDecoder::find(whole.output, recipe());
    ASSERT_NE(decoder, nullptr);
    EXPECT_FALSE(decoder->needsCondition());
    OccupancyFrame frame;
    frame.centre = {32, 32, 32};
    std::vector<std::uint8_t> solid(64 * 64 * 64, 0);
    const DecodedObject nothing = decoder->decode(solid, frame, identityAffine(), nullptr, 1);
    EXPECT_TRUE(nothing.worldMesh().empty());
    solid[(30 * 64 + 31) * 64 + 32] = 1;
    const DecodedObject voxel = decoder->decode(solid, frame, identityAffine(), nullptr, 1);
    const DecodedObject again = decoder->decode(solid, frame, identityAffine(), nullptr, 1);
    EXPECT_TRUE(torch::equal(voxel.mesh.vertices, again.mesh.vertices));
    EXPECT_EQ(voxel.voxels.size(0), 27);
    // A board of single voxels has a surface everywhere.
    for (std::size_t i = 0; i < solid.size(); ++i) solid[i] = (i + i / 64 + i / 4096) % 2 == 0 && i / 4096 < 40 ? 1 : 0;
    const DecodedObject board = decoder->decode(solid, frame, identityAffine(), nullptr, 1);
    EXPECT_EQ(board.resolution, 128);
    EXPECT_EQ(SurfaceDecoder::find(folder() / "raw", recipe()), nullptr);
}

TEST_F(LatentStage, AdaptersOnGeneratedLatents) {
    const std::string weights = "sam3d.weights=" + release().string();
    const std::vector<std::string> keys{weights, "sam3d.stage=latent", "sam3d.latents=generator", "lora.enabled=true",
                                        "lora.rank=2"};
    const TrainRequest frozen = request(recipe(keys), "frozen");
    trainReconstruction(frozen);
    const TorchFile adapters = readTorchFile(frozen.output / "latent/best.pt");
    const NamedTensors names = flattenTensors(adapters.root.at("lora_state_dict"));
    EXPECT_EQ(names.size(), 2U * 2U * 4U);  // A and B of to_qkv and to_out in four blocks of the decoder
    const NamedTensors trained = flattenTensors(adapters.root.at("trained_state_dict"));
    EXPECT_NE(findTensor(trained, "slat_decoder_mesh.out_layer.weight"), nullptr);

    std::vector<std::string> both = keys;
    both.push_back("sam3d.latent_generator=trained");
    const TrainRequest together = request(recipe(both), "together");
    trainReconstruction(together);
    const TorchFile more = readTorchFile(together.output / "latent/latest.pt");
    bool moved = false;
    for (const auto& [name, tensor] : flattenTensors(more.root.at("lora_state_dict")))
        if (name.starts_with("slat_generator.") && name.ends_with("lora_B"))
            moved = moved || toTensor(tensor).abs().max().item<double>() > 0;
    EXPECT_TRUE(moved);

    // The structure stage of the same release with these decoders, down to splats.
    std::vector<std::string> structure{weights, "sam3d.latents=generator", "lora.enabled=true", "lora.rank=2"};
    TrainRequest first = request(recipe(structure), "frozen");
    trainReconstruction(first);
    ReconstructRequest predict;
    predict.model = frozen.output;
    predict.image = folder() / "raw/s0002/s0002-image.nii.gz";
    predict.mask = folder() / "raw/s0002/s0002-label.nii.gz";
    predict.slices = {{2, 33}};
    predict.output = folder() / "generated.nii.gz";
    predict.surface = folder() / "generated.ply";
    predict.splats = folder() / "generated_splats.ply";
    EXPECT_EQ(reconstructFile(predict).files.size(), 3U);
    EXPECT_NE(readTextFile(predict.splats).find("property float rot_3"), std::string::npos);

    const auto decoder = SurfaceDecoder::find(frozen.output, recipe(keys));
    ASSERT_TRUE(decoder != nullptr && decoder->needsCondition());
    DecodedObject object;
    object.frame.centre = {32, 32, 32};
    object.affine = {{{-3, 0, 0, 5}, {0, 3, 0, 6}, {0, 0, 3, 7}, {0, 0, 0, 1}}};
    object.voxels = torch::tensor({{31, 32, 33}, {31, 32, 34}}, torch::kLong);
    object.latents = torch::randn({2, 8});
    const std::vector<Splat> splats = decoder->splats(object);
    ASSERT_EQ(splats.size(), 64U);
    for (const Splat& splat : splats) {
        // Within 0.75 voxels of its voxel's centre, index 31 along x.
        EXPECT_NEAR(splat.centre[0], -3 * 31 + 5, 0.76 * 3);
        EXPECT_NEAR(splat.centre[1], 3 * 32 + 6, 0.76 * 3);
        for (const float scale : splat.scale) EXPECT_GT(scale, 0.0009 * 64 * 3 * 0.99);
        double length = 0;
        for (const float part : splat.rotation) length += static_cast<double>(part) * static_cast<double>(part);
        EXPECT_NEAR(length, 1, 1e-4);
    }
}

TEST_F(LatentStage, WeightsThatAreNeeded) {
    EXPECT_THROW(trainReconstruction(request(recipe({"sam3d.stage=latent", "sam3d.latents=generator"}), "none")),
                 UsageError);
}

/// An object whose fine voxels carry the true distance of an ellipsoid.
TEST(SurfaceOfAnObject, LiesWhereTheObjectDoes) {
    constexpr std::int64_t kGrid = 16, kFine = 64;
    constexpr double kBall = 0.3;
    DecodedObject object;
    object.frame.grid = kGrid;
    object.frame.side = 24;
    object.frame.centre = {20, 18, 15};
    // Mirrored, anisotropic directions exchanged.
    object.affine = {{{0, -2, 0, 10}, {2, 0, 0, -20}, {0, 0, -2, 30}, {0, 0, 0, 1}}};
    object.affine[0][1] = 2;
    object.resolution = kFine;
    const auto place = [&](std::int64_t side) {
        const auto axis = (torch::arange(side, torch::kFloat) + 0.5) / side - 0.5;
        const auto grid = torch::meshgrid({axis, axis, axis}, "ij");
        return torch::stack({grid[0], grid[1], grid[2]}, -1);
    };
    object.solid = place(kGrid).norm(2, -1).le(kBall);
    const MeshChannels layout{false};
    object.voxels = object.solid.nonzero();
    const auto near = (place(kFine).norm(2, -1) - kBall).abs().le(0.06).nonzero();
    object.fineVoxels = near.contiguous();
    auto channels = torch::zeros({near.size(0), layout.count()});
    for (std::int64_t c = 0; c < 8; ++c) {
        const auto corner = near + torch::tensor({c % 2, c / 2 % 2, c / 4}, torch::kLong);
        channels.select(1, c).copy_((corner.to(torch::kFloat) / kFine - 0.5).norm(2, 1) - kBall + 1.0 / kFine);
    }
    object.mesh = extractMesh(near, channels, kFine, layout, false, object.solid);
    object.corners = cornerDistances(near, channels, kFine);

    const Mesh world = object.worldMesh();
    EXPECT_TRUE(meshTopology(world).isWatertight());
    const double radius = kBall * object.frame.side * 2;  // mm
    const double volume = 4.0 / 3 * M_PI * radius * radius * radius;
    EXPECT_NEAR(meshVolume(world), volume, 0.01 * volume);  // positive: faces look outward
    // Index (19.5, 17.5, 14.5) is the centre.
    const Vec3 centre{2 * 17.5 + 10, 2 * 19.5 - 20, -2 * 14.5 + 30};
    for (const auto& vertex : world.vertices) {
        const double distance = std::hypot(vertex[0] - centre[0], vertex[1] - centre[1], vertex[2] - centre[2]);
        EXPECT_NEAR(distance, radius, 0.05);
    }
    const Volume<float> occupancy = object.occupancy(Geometry({40, 36, 30}, object.affine));
    double sum = 0;
    for (const float value : occupancy.voxels()) sum += value;
    EXPECT_NEAR(sum * 8, volume, 0.01 * volume);
    EXPECT_EQ(occupancy(19, 17, 14), 1);
    EXPECT_EQ(occupancy(2, 2, 2), 0);
}

}  // namespace
}  // namespace medseg
