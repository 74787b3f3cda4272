// SAM 3D's training and prediction on a handful of ellipsoids.
#include "medseg/infer/reconstruction.h"

#include <unistd.h>

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/random.h"
#include "medseg/io/image_file.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/sam3d/condition_cache.h"
#include "medseg/nn/sam3d/condition_embedder.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/pipeline/form_preparation.h"
#include "medseg/train/reconstruction_training.h"

namespace medseg {
namespace {

/// A CT-like volume with two ellipsoids.
void writeCase(const fs::path& folder, const std::string& id, const Index3& size, std::uint64_t seed) {
    Random random(seed);
    const Geometry grid = Geometry::axisAligned(size, {3, 3, 3}, {-90, -80, 40});
    Volume<float> image(grid);
    Volume<std::uint8_t> labels(grid);
    const Vec3 shift{random.uniform(-4, 4), random.uniform(-4, 4), random.uniform(-4, 4)};
    const auto inside = [&](std::int64_t x, std::int64_t y, std::int64_t z, const Vec3& place, double radius) {
        const double dx = static_cast<double>(x) - static_cast<double>(size[0]) * place[0] - shift[0];
        const double dy = static_cast<double>(y) - static_cast<double>(size[1]) * place[1] - shift[1];
        const double dz = static_cast<double>(z) - static_cast<double>(size[2]) * place[2] - shift[2];
        return dx * dx + 1.5 * dy * dy + 0.7 * dz * dz < radius * radius;
    };
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t x = 0; x < size[0]; ++x) {
                const int label = inside(x, y, z, {0.35, 0.5, 0.5}, 12)  ? 1
                                  : inside(x, y, z, {0.7, 0.45, 0.5}, 9) ? 2
                                                                         : 0;
                labels(x, y, z) = static_cast<std::uint8_t>(label);
                image(x, y, z) = static_cast<float>(-50 + 90 * label + random.normal());
            }
    createDirectories(folder / id);
    writeImage(folder / id / (id + "-image.nii.gz"), AnyVolume(std::move(image)));
    writeImage(folder / id / (id + "-label.nii.gz"), AnyVolume(std::move(labels)));
}

class Reconstruction : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder() = fs::temp_directory_path() / fmt::format("medseg_reconstruction_{}", ::getpid());
        // Slices of different sizes meet in one batch.
        const std::array<Index3, 4> sizes{{{64, 64, 64}, {60, 66, 64}, {64, 64, 70}, {64, 64, 64}}};
        for (std::size_t i = 0; i < sizes.size(); ++i)
            writeCase(folder() / "raw", fmt::format("s{:04}", i), sizes[i], i + 1);
        prepareForm(recipe(), folder() / "cases");
    }
    static void TearDownTestSuite() { fs::remove_all(folder()); }
    static fs::path& folder() {
        static fs::path path;
        return path;
    }
    static Recipe recipe(const std::vector<std::string>& overrides = {}) {
        const std::string yaml = fmt::format(R"(
data: {{root: {}, split: case, validation_cases: [s0003.nii], test_cases: [s0002.nii]}}
prepare: {{form: sam3d, window: [-100, 200]}}
prepare_sam3d: {{classes: 2, spacing: 3}}
model: {{kind: sam3d}}
sam3d: {{preset: tiny, target: solid, vae_epochs: 1, vae_samples_per_epoch: 2, samples_per_epoch: 4,
        validation_samples: 1}}
sampling: {{steps: 2, guidance: 0}}
train: {{epochs: 2, batch_size: 2, optimizer: adamw, schedule: one_cycle, cycle_rise: 0.1, cycle_momentum: true,
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
};

TEST_F(Reconstruction, TrainsResumesExactlyAdaptsAndPredicts) {
    const TrainRequest whole = request(recipe({"loss.w_occupancy_loss=0.5", "loss.w_sdf_loss=0.5",
                                               "loss.w_mask_loss=1.0", "sam3d.shortcut_share=0.5"}),
                                       "whole");
    trainReconstruction(whole);
    for (const char* name : {"best.pt", "latest.pt", "epoch_1.pt", "epoch_2.pt", "history.json", "vae/best.pt",
                             "mean_shapes.npz", "split.json", "recipe.yaml"})
        EXPECT_TRUE(fs::exists(whole.output / name)) << name;
    TrainRequest continued = whole;
    continued.output = folder() / "continued";
    continued.resumeFrom = whole.output / "epoch_1.pt";
    trainReconstruction(continued);
    expectSameWeights(whole.output / "latest.pt", continued.output / "latest.pt", "model_state_dict");

    // Adapters on that model: a small checkpoint of what was trained, the rest unchanged.
    const TrainRequest adapted =
        request(recipe({"sam3d.weights=" + whole.output.string(), "lora.enabled=true", "lora.rank=2",
                        "lora.train=[generator.latent_mapping.shape.out_layer]", "lora.dropout=0.1"}),
                "adapted");
    trainReconstruction(adapted);
    EXPECT_LT(fs::file_size(adapted.output / "best.pt"), fs::file_size(whole.output / "best.pt") / 5);
    TrainRequest again = adapted;
    again.output = folder() / "adapted_continued";
    again.resumeFrom = adapted.output / "epoch_1.pt";
    trainReconstruction(again);
    expectSameWeights(adapted.output / "latest.pt", again.output / "latest.pt", "lora_state_dict");
    expectSameWeights(adapted.output / "latest.pt", again.output / "latest.pt", "trained_state_dict");

    // From a mask on one slice to a label map in the geometry of the image.
    ReconstructRequest predict;
    predict.model = adapted.output;
    predict.image = folder() / "raw/s0002/s0002-image.nii.gz";
    predict.mask = folder() / "raw/s0002/s0002-label.nii.gz";
    predict.slices = {{2, 35}};
    predict.output = folder() / "shape.nii.gz";
    predict.uncertainty = folder() / "uncertainty.nii.gz";
    predict.overrides = {"sampling.samples=2"};
    const ReconstructOutcome outcome = reconstructFile(predict);
    EXPECT_EQ(outcome.objects, 2);
    EXPECT_TRUE(readLabelMap(predict.output).geometry().matches(readImage(predict.image).geometry()));
    const Volume<float> uncertainty = readImage(predict.uncertainty);
    for (const float value : uncertainty.voxels()) EXPECT_TRUE(value >= 0 && value <= 1);

    ReconstructCasesRequest cases;
    cases.model = whole.output;
    cases.cases = folder() / "cases";
    cases.output = folder() / "predictions";
    EXPECT_EQ(reconstructCases(cases).objects, 2);
    EXPECT_TRUE(fs::exists(cases.output / "s0002.nii_objects/label_1.nii.gz"));
    EXPECT_TRUE(fs::exists(cases.output / "slices.json"));
}

TEST_F(Reconstruction, MoreClassesThanWerePrepared) {
    EXPECT_THROW(trainReconstruction(request(recipe({"sam3d.classes=3"}), "classes")), DataError);
    EXPECT_THROW(trainReconstruction(request(recipe({"lora.enabled=true"}), "adapters")), UsageError);
}

TEST_F(Reconstruction, SlicesWithoutWhatIsNeeded) {
    Sam3dSlice slice;
    slice.axis = 2;
    slice.index = 3;
    slice.height = slice.width = 8;
    slice.image.assign(64, 10);
    slice.mask.assign(64, 0);
    slice.pointmap.assign(192, std::numeric_limits<float>::quiet_NaN());
    ConditionRules rules;
    rules.targetSize = 16;
    const auto problem = [&](int label) -> std::string {
        try {
            conditionImages(slice, label, identityAffine(), cropFrame({8, 8, 8}, 64), rules, "s1.npz");
        } catch (const DataError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(problem(1), testing::AllOf(testing::HasSubstr("s1.npz"), testing::HasSubstr("mask is empty")));
    slice.mask[20] = 1;
    EXPECT_THAT(problem(1), testing::HasSubstr("no finite point"));
    // Single pixels without a point are fine.
    for (std::size_t pixel = 21; pixel < 24; ++pixel) slice.mask[pixel] = 1;
    for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t pixel = 20; pixel < 23; ++pixel)
            slice.pointmap[c * 64 + pixel] = 4 * static_cast<float>(pixel);
    EXPECT_EQ(problem(1), "");
    // With points in the frame's coordinates a mask without points still tells its place in the picture.
    rules.framePoints = true;
    slice.pointmap.assign(192, std::numeric_limits<float>::quiet_NaN());
    EXPECT_EQ(problem(1), "");
}

TEST(ConditionEmbedder, FreshTokensHaveAboutUnitSize) {
    torch::manual_seed(5);
    const ConditionShape shape = sam3dShape("tiny").condition;
    ConditionProjection projection(shape.dino.width, shape.hiddenWidth(), shape.width, shape.normEpsilon);
    const double size =
        projection->forward(torch::randn({500, shape.dino.width})).square().mean().sqrt().item<double>();
    EXPECT_GT(size, 0.5);
    EXPECT_LT(size, 2);
}

TEST(ConditionCache, DropsWhatWasUsedLeastRecently) {
    const auto features = [] {
        ConditionFeatures result;
        for (torch::Tensor& stream : result) stream = torch::zeros({1, 2, 5});
        return result;
    };
    ConditionCache cache(2 * 6 * 10 * 4);
    cache.add("a", features());
    cache.add("b", features());
    EXPECT_NE(cache.find("a"), nullptr);
    cache.add("c", features());
    EXPECT_EQ(cache.find("b"), nullptr);
    EXPECT_NE(cache.find("a"), nullptr);
    EXPECT_EQ(cache.size(), 2U);
}

}  // namespace
}  // namespace medseg
