// Windows over volumes: where they start, how they are weighted, and that blending them gives back what went in.
#include "medseg/infer/sliding_window.h"

#include <cmath>

#include <gtest/gtest.h>

namespace medseg {
namespace {

using Starts = std::vector<std::int64_t>;

// By hand: n = ceil((size - patch) / (patch * (1 - overlap))) + 1 starts, i * (size - patch) / (n - 1) rounded.
TEST(WindowStarts, AreEvenlySpreadAndAsFewAsTheOverlapAllows) {
    EXPECT_EQ(windowStarts(128, 128, 0.5), (Starts{0}));
    EXPECT_EQ(windowStarts(129, 128, 0.5), (Starts{0, 1}));
    EXPECT_EQ(windowStarts(192, 128, 0.5), (Starts{0, 64}));
    EXPECT_EQ(windowStarts(193, 128, 0.5), (Starts{0, 32, 65}));  // 65 / 64 > 1: three windows; 32.5 to even
    EXPECT_EQ(windowStarts(200, 100, 0), (Starts{0, 100}));
    EXPECT_EQ(windowStarts(250, 100, 0), (Starts{0, 75, 150}));
    EXPECT_EQ(windowStarts(100, 40, 0.75), (Starts{0, 10, 20, 30, 40, 50, 60}));
    // Shorter than the patch: in its middle, an odd voxel at the end.
    EXPECT_EQ(windowStarts(10, 16, 0.5), (Starts{-3}));
    EXPECT_EQ(windowStarts(11, 16, 0.5), (Starts{-2}));
}

// Sigma is an eighth of the patch: 16 voxels, sigma 2, centre 8.
TEST(WindowProfile, IsAGaussianOfAnEighthOfThePatch) {
    const auto profile = windowProfile(16);
    ASSERT_EQ(profile.size(), 16U);
    EXPECT_FLOAT_EQ(profile[8], 1);
    EXPECT_NEAR(profile[10], std::exp(-0.5), 1e-6);
    EXPECT_NEAR(profile[6], std::exp(-0.5), 1e-6);
    EXPECT_NEAR(profile[0], std::exp(-8.0), 1e-8);
    EXPECT_NEAR(profile[15], std::exp(-0.5 * 3.5 * 3.5), 1e-7);
    EXPECT_FLOAT_EQ(windowProfile(7)[3], 1);
}

Volume<float> noise(const Index3& size) {
    Volume<float> volume(Geometry::axisAligned(size, {1, 1, 1}));
    const auto values = torch::rand({volume.voxelCount()});
    std::copy_n(values.data_ptr<float>(), volume.voxelCount(), volume.data());
    return volume;
}

/// Runs the network over the volume and returns (z, y, x, channels).
torch::Tensor blended(const SlidingWindow& windows, const Volume<float>& image, const SlidingWindow::Network& network) {
    std::vector<torch::Tensor> planes;
    windows.run(image, network, [&](std::int64_t z, const torch::Tensor& plane) {
        EXPECT_EQ(z, static_cast<std::int64_t>(planes.size()));
        planes.push_back(plane.clone());
    });
    return torch::stack(planes);
}

struct Shape {
    Index3 size, patch;
    double overlap;
    std::int64_t batch;
};

class IdentityNetwork : public testing::TestWithParam<Shape> {};

TEST_P(IdentityNetwork, GivesBackTheVolume) {
    torch::manual_seed(1);
    const auto& [size, patch, overlap, batch] = GetParam();
    const Volume<float> image = noise(size);
    std::int64_t calls = 0;
    const SlidingWindow windows(patch, overlap, batch);
    const auto result = blended(windows, image, [&](const torch::Tensor& images, const auto& parts) {
        EXPECT_EQ(images.size(0), static_cast<std::int64_t>(parts.size()));
        EXPECT_LE(images.size(0), batch);
        calls += images.size(0);
        return torch::cat({images, 2 - images}, 1).permute({0, 2, 3, 4, 1});
    });
    EXPECT_EQ(calls, windows.windowCount(size));
    ASSERT_EQ(result.sizes(), (std::vector<std::int64_t>{size[2], size[1], size[0], 2}));
    const auto expected = torch::from_blob(const_cast<float*>(image.data()), {size[2], size[1], size[0]});
    EXPECT_TRUE(torch::allclose(result.select(3, 0), expected, 1e-5, 1e-6));
    EXPECT_TRUE(torch::allclose(result.select(3, 1), 2 - expected, 1e-5, 1e-6));
}

INSTANTIATE_TEST_SUITE_P(Shapes, IdentityNetwork,
                         testing::Values(Shape{{20, 18, 25}, {8, 8, 8}, 0.5, 3},
                                         Shape{{16, 16, 16}, {16, 16, 16}, 0.5, 1},
                                         Shape{{5, 30, 7}, {16, 8, 16}, 0.25, 4}, Shape{{24, 9, 40}, {8, 8, 8}, 0, 5},
                                         Shape{{11, 12, 13}, {6, 4, 5}, 0.8, 2}, Shape{{1, 1, 1}, {4, 4, 4}, 0.5, 1}));

// Windows see where they lie: their coordinates, blended, are those of the whole volume.
TEST(SlidingWindow, TellsTheNetworkWhereEachWindowLies) {
    const Volume<float> image = noise({21, 11, 31});
    const auto result = blended(SlidingWindow({8, 8, 8}, 0.5, 2), image, [](const auto& images, const auto& parts) {
        return appendVolumeCoordinates(images, {"x", "y", "z"}, parts).permute({0, 2, 3, 4, 1});
    });
    for (std::int64_t axis = 0; axis < 3; ++axis) {
        const std::int64_t n = image.size()[static_cast<std::size_t>(axis)];
        std::vector<std::int64_t> shape{1, 1, 1};
        shape[static_cast<std::size_t>(2 - axis)] = n;
        const auto expected = torch::linspace(-1, 1, n).view(shape).expand({31, 11, 21});
        EXPECT_TRUE(torch::allclose(result.select(3, 1 + axis), expected, 1e-5, 1e-5)) << "axis " << axis;
    }
}

// Two windows of 8 in 12 voxels start at 0 and 4. A network that answers 0 in the first and 1 in the second gives the
// second one's share of the weights: g(x - 4) / (g(x) + g(x - 4)), g(i) = exp(-(i - 4)^2 / 2), sigma 1.
TEST(SlidingWindow, WeighsOverlappingWindowsByTheirGaussians) {
    const Volume<float> image = noise({12, 8, 8});
    const auto result = blended(SlidingWindow({8, 8, 8}, 0.5, 1), image, [](const auto& images, const auto& parts) {
        return torch::full({1, 8, 8, 8, 1}, parts[0].start[0] == 4 ? 1.0 : 0.0, images.options());
    });
    for (std::int64_t x = 0; x < 12; ++x) {
        const auto g = [](std::int64_t i) {
            return i < 0 || i > 7 ? 0.0 : std::exp(-0.5 * static_cast<double>((i - 4) * (i - 4)));
        };
        EXPECT_NEAR(result[3][5][x][0].item<double>(), g(x - 4) / (g(x) + g(x - 4)), 1e-5) << x;
    }
}

TEST(VolumeCoordinates, GoOnBeyondTheBorder) {
    const auto images = torch::zeros({1, 1, 2, 2, 5});
    const auto result = appendVolumeCoordinates(images, {"x"}, {{{-1, 0, 0}, {3, 2, 2}}});
    // Volume voxels -1 .. 3 of 3: -2, -1, 0, 1, 2.
    EXPECT_TRUE(torch::allclose(result[0][1][1][0], torch::tensor({-2.0, -1.0, 0.0, 1.0, 2.0})));
    EXPECT_TRUE(appendVolumeCoordinates(images, {}, {{}}).is_same(images));
}

}  // namespace
}  // namespace medseg
