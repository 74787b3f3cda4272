// A 3D network from volume to labels: blending features equals blending logits; grids; orientations; ensembles.
#include "medseg/infer/volume_segmenter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/volume/orientation.h"

namespace medseg {
namespace {

using testing::HasSubstr;

LoadedModel smallModel(int seed, const std::string& output = "sigmoid") {
    LoadedModel model;
    model.file = "model" + std::to_string(seed) + ".pth";
    auto& settings = model.recipe.model;
    settings.dimensions = 3;
    settings.features = {4, 6};
    settings.bottleneck = 8;
    settings.norm = "instance";
    settings.output = output;
    settings.coordinates = {"z"};
    settings.patchSize = {16, 8, 8};
    model.recipe.prepare.spacing = {2, 2, 2};
    model.recipe.prepare.window = {0, 1};
    model.recipe.predict.batchSize = 2;
    model.labels = LabelTable::fromNames({"liver", "spleen", "heart"});
    torch::manual_seed(seed);
    model.network = buildUNet(settings, 3);
    {
        // So that structures occur and differ.
        const torch::NoGradGuard noGradient;
        model.network->finalConv->weight.normal_(0, 2);
    }
    model.network->eval();
    return model;
}

Volume<float> smoothImage(const Geometry& geometry) {
    Volume<float> image(geometry);
    for (std::int64_t z = 0; z < image.nz(); ++z)
        for (std::int64_t y = 0; y < image.ny(); ++y)
            for (std::int64_t x = 0; x < image.nx(); ++x)
                image(x, y, z) =
                    static_cast<float>(0.5 + 0.4 * std::sin(0.7 * double(x)) * std::cos(0.5 * double(y + z)));
    return image;
}

Geometry gridOfSpacing2() {
    return Geometry::axisAligned({23, 14, 18}, {2, 2, 2}, {5, 6, 7});
}

/// Probabilities (z, y, x, outputs) worked out the long way: logits of every window and mirrored view, blended whole.
torch::Tensor longWay(const std::vector<LoadedModel>& models, const Volume<float>& image,
                      const std::vector<std::vector<std::int64_t>>& flips) {
    const auto& settings = models[0].recipe.model;
    const Index3 patch{settings.patchSize[0], settings.patchSize[1], settings.patchSize[2]};
    const bool sigmoid = settings.output == "sigmoid";
    torch::Tensor mean;
    for (const LoadedModel& model : models) {
        std::vector<torch::Tensor> planes;
        UNet network = model.network;
        SlidingWindow(patch, 0.5, 1)
            .run(
                image,
                [&](const torch::Tensor& images, const std::vector<VolumePart>& parts) {
                    const auto input = appendVolumeCoordinates(images, {"z"}, parts);
                    torch::Tensor sum;
                    for (const auto& axes : flips) {
                        const auto view = network->forward(input.flip(axes)).flip(axes);
                        sum = sum.defined() ? sum + view : view;
                    }
                    return (sum / static_cast<double>(flips.size())).permute({0, 2, 3, 4, 1});
                },
                [&](std::int64_t, const torch::Tensor& plane) { planes.push_back(plane.clone()); });
        const auto logits = torch::stack(planes);
        const auto probability = sigmoid ? logits.sigmoid() : logits.softmax(3);
        mean = mean.defined() ? mean + probability : probability;
    }
    return mean / static_cast<double>(models.size());
}

/// Labels and all reported probabilities (structure -> (z, y, x)) of a segmenter.
struct Result {
    LabelMap labels;
    std::vector<torch::Tensor> probabilities;
    Volume<float> uncertainty;
};

Result segmented(VolumeSegmenter& segmenter, const Volume<float>& image) {
    Result result;
    for (int i = 0; i < 4; ++i) result.probabilities.push_back(torch::zeros({image.nz(), image.ny(), image.nx()}));
    std::int64_t slices = 0, last = -1;
    result.labels = segmenter.segment(
        image, [&] { ++slices; },
        [&](int structure, std::int64_t slice, const float* values) {
            EXPECT_GE(slice, last);
            last = slice;
            std::copy_n(values, image.nx() * image.ny(),
                        result.probabilities[static_cast<std::size_t>(structure)][slice].data_ptr<float>());
        },
        &result.uncertainty);
    EXPECT_EQ(slices, image.nz());
    return result;
}

TEST(VolumeSegmenter, BlendedFeaturesGiveTheProbabilitiesOfBlendedLogits) {
    const torch::NoGradGuard noGradient;
    const Volume<float> image = smoothImage(gridOfSpacing2());
    for (const bool many : {false, true})
        for (const char* output : {"sigmoid", "softmax"}) {
            std::vector<LoadedModel> models{smallModel(1, output)};
            if (many) models.push_back(smallModel(2, output));
            SegmenterOptions options;
            if (many) options.mirror = {"x", "z"};
            const auto flips = many ? std::vector<std::vector<std::int64_t>>{{}, {4}, {2}, {4, 2}}
                                    : std::vector<std::vector<std::int64_t>>{{}};
            const auto expected = longWay(models, image, flips);
            VolumeSegmenter segmenter(models, options);
            const Result result = segmented(segmenter, image);
            const bool sigmoid = std::string(output) == "sigmoid";
            std::int64_t labelled = 0;
            for (std::int64_t z = 0; z < image.nz(); ++z)
                for (std::int64_t y = 0; y < image.ny(); ++y)
                    for (std::int64_t x = 0; x < image.nx(); ++x) {
                        const auto p = expected[z][y][x];
                        const auto best = p.argmax().item<std::int64_t>();
                        const double highest = p[best].item<double>();
                        const auto sorted = std::get<0>(p.sort());
                        // Near-ties may fall either way.
                        if (sorted[-1].item<double>() - sorted[-2].item<double>() < 1e-4) continue;
                        if (sigmoid && std::abs(highest - 0.5) < 1e-4) continue;
                        const std::int64_t label = sigmoid ? (highest >= 0.5 ? best + 1 : 0) : best;
                        ASSERT_EQ(result.labels.at(x, y, z), label) << x << ' ' << y << ' ' << z << ' ' << output;
                        labelled += label > 0;
                    }
            EXPECT_GT(labelled, 100);
            for (int structure = 1; structure <= 3; ++structure) {
                const auto got = result.probabilities[static_cast<std::size_t>(structure)];
                const auto wanted = expected.select(3, sigmoid ? structure - 1 : structure);
                // Slices whose probability stays below the limit are not reported.
                const auto difference = (got - wanted).abs() * got.ne(0);
                EXPECT_LT(difference.max().item<double>(), 1e-4);
            }
        }
}

TEST(VolumeSegmenter, ReturnsToTheGridOfTheInput) {
    VolumeSegmenter segmenter({smallModel(3)}, {});
    // Another spacing, turned: the same anatomy gives the same labels at the same places.
    const Geometry fine = Geometry::axisAligned({40, 30, 50}, {1.2, 1.1, 0.7}, {-3, 4, 9});
    const Volume<float> image = smoothImage(fine);
    const LabelMap labels = segmenter.segment(image, {}, {}, nullptr);
    EXPECT_TRUE(labels.geometry().matches(fine));
    EXPECT_EQ(labels.table().size(), 3U);
    for (const char* codes : {"LPS", "SAR"}) {
        const AxisTurn turn = turnTowards(fine, codes);
        const auto other = std::get<Volume<float>>(turned(AnyVolume(image.clone()), turn));
        const LabelMap otherLabels = segmenter.segment(other, {}, {}, nullptr);
        ASSERT_TRUE(otherLabels.geometry().matches(other.geometry()));
        std::int64_t different = 0;
        for (std::int64_t z = 0; z < 50; ++z)
            for (std::int64_t y = 0; y < 30; ++y)
                for (std::int64_t x = 0; x < 40; ++x) {
                    const Vec3 v = other.geometry().worldToVoxel(fine.voxelToWorld({double(x), double(y), double(z)}));
                    different += labels.at(x, y, z) !=
                                 otherLabels.at(std::llround(v[0]), std::llround(v[1]), std::llround(v[2]));
                }
        EXPECT_EQ(different, 0) << codes;
    }
}

// A volume smaller than the patch, and one of a single slice.
TEST(VolumeSegmenter, TakesVolumesSmallerThanThePatch) {
    VolumeSegmenter segmenter({smallModel(4)}, {});
    for (const Index3 size : {Index3{5, 6, 4}, Index3{20, 20, 1}, Index3{1, 1, 1}}) {
        const Volume<float> image = smoothImage(Geometry::axisAligned(size, {2, 2, 2}));
        Volume<float> uncertainty;
        EXPECT_EQ(segmenter.segment(image, {}, {}, &uncertainty).geometry().size(), size);
        for (const float value : uncertainty.voxels()) ASSERT_TRUE(value >= 0 && value <= 1);
    }
}

TEST(VolumeSegmenter, RefusesWhatDoesNotFit) {
    LoadedModel other = smallModel(2);
    other.recipe.prepare.spacing = {3, 3, 3};
    const auto messageOf = [](auto&& action) -> std::string {
        try {
            action();
        } catch (const Error& error) {
            return error.what();
        }
        return "nothing thrown";
    };
    EXPECT_THAT(messageOf([&] { VolumeSegmenter({smallModel(1), other}, {}); }), HasSubstr("preparation"));
    LoadedModel flat = smallModel(2);
    flat.recipe.model.dimensions = 2;
    EXPECT_THAT(messageOf([&] { VolumeSegmenter({smallModel(1), flat}, {}); }), HasSubstr("model.dimensions"));
    SegmenterOptions options;
    options.precision = "int8";
    EXPECT_THAT(messageOf([&] { VolumeSegmenter({smallModel(1)}, options); }), HasSubstr("int8"));
}

}  // namespace
}  // namespace medseg
