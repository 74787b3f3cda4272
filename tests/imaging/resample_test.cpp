#include "medseg/imaging/resample.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/resize2d.h"

namespace medseg {
namespace {

Volume<float> linearField(const Geometry& geometry) {
    Volume<float> volume(geometry);
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const Vec3 p = geometry.voxelToWorld({double(x), double(y), double(z)});
                volume(x, y, z) = static_cast<float>(2 * p[0] - 3 * p[1] + 0.5 * p[2] + 7);
            }
    return volume;
}

Volume<float> noise(const Geometry& geometry, std::uint64_t seed) {
    Random random(seed);
    Volume<float> volume(geometry);
    for (float& v : volume.voxels()) v = static_cast<float>(random.uniform(-1000, 1000));
    return volume;
}

// A field that is linear in world coordinates must be reproduced by linear and cubic interpolation on any grid inside.
TEST(Resample, ReproducesALinearFieldOnObliqueGrids) {
    const auto field = linearField(Geometry::axisAligned({30, 28, 26}, {1, 1.2, 1.4}, {-10, 5, 3}));
    const double c = std::cos(0.3), s = std::sin(0.3);
    const Affine oblique{{{c, -s, 0, 3}, {s, c, 0, 18}, {0, 0, -0.9, 30}, {0, 0, 0, 1}}};
    const Geometry target({9, 8, 7}, oblique);
    for (const auto kind : {Interpolation::Linear, Interpolation::Cubic}) {
        const auto result = resampleTo(field, target, kind);
        const auto expected = linearField(target);
        for (std::int64_t i = 0; i < result.voxelCount(); ++i)
            EXPECT_NEAR(result.data()[i], expected.data()[i], 0.02) << i;
    }
}

TEST(Resample, SameGridIsTheSameImage) {
    const auto image = noise(Geometry::axisAligned({11, 9, 7}, {0.7, 1, 3}), 1);
    for (const auto kind : {Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic}) {
        const auto result = resampleTo(image, image.geometry(), kind);
        for (std::int64_t i = 0; i < image.voxelCount(); ++i) EXPECT_EQ(result.data()[i], image.data()[i]);
    }
}

TEST(Resample, SeparableAndGeneralPathAgree) {
    const auto image = noise(Geometry::axisAligned({15, 14, 13}, {1, 1, 1}), 2);
    const Geometry straight = Geometry::axisAligned({20, 19, 8}, {0.7, 0.71, 1.3}, {0.2, 0.1, 0.4});
    // The same grid with x and y exchanged takes the general path.
    Affine exchanged = straight.affine();
    for (auto& row : exchanged) std::swap(row[0], row[1]);
    const Geometry crossed({19, 20, 8}, exchanged);
    for (const auto kind : {Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic}) {
        const auto a = resampleTo(image, straight, kind);
        const auto b = resampleTo(image, crossed, kind);
        for (std::int64_t z = 0; z < 8; ++z)
            for (std::int64_t y = 0; y < 19; ++y)
                for (std::int64_t x = 0; x < 20; ++x) ASSERT_NEAR(a(x, y, z), b(y, x, z), 2e-3);
    }
}

TEST(Resample, OutsideTakesTheFillValue) {
    const Volume<std::int16_t> image(Geometry::axisAligned({4, 4, 4}, {1, 1, 1}), 100);
    const auto result =
        resampleTo(image, Geometry::axisAligned({8, 4, 4}, {1, 1, 1}, {-2, 0, 0}), Interpolation::Linear, -1024);
    EXPECT_EQ(result(1, 0, 0), -1024);
    EXPECT_EQ(result(2, 0, 0), 100);
    EXPECT_EQ(result(5, 3, 3), 100);
    EXPECT_EQ(result(6, 3, 3), -1024);
}

TEST(Resample, SpacingKeepsTheFieldOfViewCentred) {
    const Geometry geometry = Geometry::axisAligned({100, 80, 50}, {0.8, 0.8, 5}, {-40, -30, 100});
    const Geometry finer = withSpacing(geometry, {1.5, 1.5, 1.5});
    EXPECT_EQ(finer.size(), (Index3{53, 43, 167}));
    for (int axis = 0; axis < 3; ++axis) EXPECT_NEAR(finer.spacing()[axis], 1.5, 1e-12);
    const Vec3 a = geometry.voxelToWorld({49.5, 39.5, 24.5});
    const Vec3 b = finer.voxelToWorld({26, 21, 83});
    for (int axis = 0; axis < 3; ++axis) EXPECT_NEAR(a[axis], b[axis], 1e-9);
    EXPECT_THROW(withSpacing(geometry, {1, 0, 1}), UsageError);
    EXPECT_THROW(withSpacing(geometry, {1, std::nan(""), 1}), UsageError);
    EXPECT_THROW(withSpacing(geometry, {1e-9, 1, 1}), UsageError);
}

TEST(Resample, LabelsNeverMix) {
    Random random(3);
    Volume<std::uint16_t> labels(Geometry::axisAligned({12, 11, 10}, {1, 1, 2}));
    for (auto& v : labels.voxels()) v = random.uniform() < 0.5 ? 3 : 900;
    for (const auto kind : {LabelInterpolation::Nearest, LabelInterpolation::Linear}) {
        const auto result = resampleLabels(labels, withSpacing(labels.geometry(), {0.6, 1.7, 0.9}), kind);
        for (const auto v : result.voxels()) EXPECT_TRUE(v == 3 || v == 900);
    }
}

TEST(Resample, ThreadsDoNotChangeResults) {
    const auto image = noise(Geometry::axisAligned({40, 33, 21}, {1, 1, 1}), 4);
    const Geometry target = withSpacing(image.geometry(), {0.8, 1.1, 0.5});
    setThreadCount(1);
    const auto one = resampleTo(image, target, Interpolation::Cubic);
    setThreadCount(2);
    const auto two = resampleTo(image, target, Interpolation::Cubic);
    setThreadCount(0);
    for (std::int64_t i = 0; i < one.voxelCount(); ++i) ASSERT_EQ(one.data()[i], two.data()[i]);
}

TEST(Resample, BadInput) {
    EXPECT_THROW(resampleTo(Volume<float>(), Geometry(), Interpolation::Linear), DataError);
    EXPECT_THROW(interpolationFromName("quintic"), UsageError);
    Volume<float> single(Geometry::axisAligned({1, 1, 1}, {2, 2, 2}), 5.0F);
    const auto grown = resampleTo(single, withSpacing(single.geometry(), {1, 1, 1}), Interpolation::Cubic);
    for (const float v : grown.voxels()) EXPECT_EQ(v, 5.0F);
    Volume<float> damaged(Geometry::axisAligned({4, 4, 1}, {1, 1, 1}), 1.0F);
    damaged(0, 0, 0) = std::numeric_limits<float>::quiet_NaN();
    const auto result = resampleTo(damaged, withSpacing(damaged.geometry(), {0.5, 0.5, 1}), Interpolation::Linear);
    EXPECT_TRUE(std::isnan(result(0, 0, 0)));
    EXPECT_EQ(result(7, 7, 0), 1.0F);
}

// torch.nn.functional.interpolate([[0, 1], [2, 3]], size=4, mode="bilinear"), worked out by hand.
TEST(Resize, BilinearHasHalfPixelCentres) {
    const std::vector<float> in{0, 1, 2, 3};
    std::vector<float> out(16);
    resizeBilinear(SliceView<const float>{in.data(), 2, 2, 2}, SliceView<float>{out.data(), 4, 4, 4});
    const std::vector<float> expected{0,    0.25F, 0.75F, 1,    0.5F, 0.75F, 1.25F, 1.5F,
                                      1.5F, 1.75F, 2.25F, 2.5F, 2,    2.25F, 2.75F, 3};
    EXPECT_EQ(out, expected);
    EXPECT_THROW(resizeBilinear(SliceView<const float>{}, SliceView<float>{out.data(), 4, 4, 4}), DataError);
}

TEST(Resize, NearestTakesThePixelUnderTheCentre) {
    const std::vector<std::uint8_t> in{1, 2, 3, 4, 5};
    std::vector<std::uint8_t> out(3);
    resizeNearest(SliceView<const std::uint8_t>{in.data(), 5, 1, 5}, SliceView<std::uint8_t>{out.data(), 3, 1, 3});
    EXPECT_EQ(out, (std::vector<std::uint8_t>{1, 3, 5}));
}

}  // namespace
}  // namespace medseg
