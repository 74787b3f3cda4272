#include "medseg/imaging/filter.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/crf.h"
#include "medseg/imaging/deform.h"
#include "medseg/imaging/points.h"
#include "medseg/imaging/zoom.h"

namespace medseg {
namespace {

Volume<float> noise(const Index3& size, std::uint64_t seed) {
    Random random(seed);
    Volume<float> volume(Geometry::axisAligned(size, {1, 1, 1}));
    for (auto& v : volume.voxels()) v = static_cast<float>(random.uniform(-100, 100));
    return volume;
}

TEST(Filter, GaussianOfAnImpulseIsSeparableAndSumsToOne) {
    Volume<float> impulse(Geometry::axisAligned({21, 21, 21}, {1, 1, 1}), 0.0F);
    impulse(10, 10, 10) = 1;
    const auto blurred = gaussianFilter(impulse, {1.2, 1.2, 1.2});
    double sum = 0;
    for (const float v : blurred.voxels()) sum += v;
    EXPECT_NEAR(sum, 1, 1e-6);
    EXPECT_NEAR(blurred(12, 10, 10) / blurred(10, 10, 10), std::exp(-4 / (2 * 1.44)), 1e-5);
    EXPECT_EQ(blurred(9, 10, 10), blurred(10, 11, 10));
}

TEST(Filter, InPlaceEqualsCopy) {
    auto image = noise({37, 21, 14}, 5);
    const auto copy = gaussianFilterMm(image, 1.5);
    smoothInPlace(image, 1.5);
    EXPECT_TRUE(std::equal(image.voxels().begin(), image.voxels().end(), copy.data()));
}

TEST(Filter, ConstantsStayAndBadInputIsRefused) {
    const Volume<float> flat(Geometry::axisAligned({9, 8, 7}, {1, 1, 1}), 3.5F);
    const auto blurred = gaussianFilter(flat, {2, 0, 5});
    for (const float v : blurred.voxels()) EXPECT_NEAR(v, 3.5, 1e-6);
    const auto edges = sobelFilter(flat, 1);
    for (const float v : edges.voxels()) EXPECT_EQ(v, 0);
    EXPECT_THROW(gaussianFilter(flat, {-1, 0, 0}), UsageError);
    EXPECT_THROW(gaussianFilter(flat, {std::nan(""), 0, 0}), UsageError);
    EXPECT_THROW(medianFilter(flat, 4), UsageError);
    EXPECT_THROW(gaussianFilter(Volume<float>(), {1, 1, 1}), DataError);
    auto damaged = flat.clone();
    damaged(0, 0, 0) = std::numeric_limits<float>::quiet_NaN();
    const auto result = gaussianFilter(damaged, {0.5, 0.5, 0.5});
    EXPECT_TRUE(std::isnan(result(1, 1, 1)));
    EXPECT_FALSE(std::isnan(result(8, 7, 6)));
}

TEST(Filter, ThreadsDoNotChangeResults) {
    const auto image = noise({50, 40, 30}, 6);
    setThreadCount(1);
    const auto one = gaussianFilter(image, {1, 2, 3});
    setThreadCount(2);
    const auto two = gaussianFilter(image, {1, 2, 3});
    setThreadCount(0);
    EXPECT_TRUE(std::equal(one.voxels().begin(), one.voxels().end(), two.data()));
}

TEST(Deform, NoDisplacementIsTheSameImage) {
    const auto image = noise({14, 13, 12}, 7);
    const Volume<float> zero(image.geometry(), 0.0F);
    for (const int order : {0, 1, 3}) {
        const auto result = elasticDeform(image, zero, zero, &zero, {order, Boundary::Mirror, 0});
        for (std::int64_t i = 0; i < image.voxelCount(); ++i) ASSERT_NEAR(result.data()[i], image.data()[i], 1e-3);
    }
    const Volume<float> other(Geometry::axisAligned({2, 2, 2}, {1, 1, 1}), 0.0F);
    EXPECT_THROW(elasticDeform(image, other, zero, &zero, {}), DataError);
    EXPECT_THROW(mapCoordinates(image, std::vector<Vec3>{{0, 0, 0}}, {7, Boundary::Mirror, 0}), UsageError);
}

TEST(Deform, QuarterTurnMovesVoxelsExactly) {
    const auto image = noise({8, 8, 3}, 8);
    const auto turned = rotateVolume(image, 90, {0, 1}, false, {0, Boundary::Constant, 0});
    const auto back = rotateVolume(turned, -90, {0, 1}, false, {0, Boundary::Constant, 0});
    EXPECT_TRUE(std::equal(image.voxels().begin(), image.voxels().end(), back.data()));
    EXPECT_FALSE(std::equal(image.voxels().begin(), image.voxels().end(), turned.data()));
}

TEST(Zoom, RefusesWhatCannotBe) {
    const auto image = noise({4, 4, 4}, 9);
    EXPECT_THROW(zoomVolume(image, {0, 1, 1}), UsageError);
    EXPECT_THROW(zoomVolume(image, {1e-3, 1, 1}), UsageError);
    EXPECT_THROW(zoomVolume(image, {1e9, 1, 1}), UsageError);
    EXPECT_THROW(zoomVolume(image, {1, 1, 1}, {9}), UsageError);
    EXPECT_THROW(resizeVolume(image, {0, 4, 4}), UsageError);
    EXPECT_THROW(boundaryFromName("periodic"), UsageError);
}

TEST(Points, TreeSearchEqualsBruteForce) {
    Random random(11);
    std::vector<Vec3> a, b;
    for (int i = 0; i < 400; ++i) a.push_back({random.normal(), random.normal() * 3, random.uniform(-9, 20)});
    for (int i = 0; i < 150; ++i) b.push_back({random.normal() + 1, random.normal(), random.uniform(0, 1) * 0.001});
    // Far away, on top of each other, and at equal distances.
    a.insert(a.end(), {{900, -4, 2}, {-50, 700, 60}, {0.5, 0.5, -2000}, {0.5, 0.5, 0.5}});
    for (int i = 0; i < 20; ++i) b.push_back({2, 2, 2});
    for (int i = 0; i < 27; ++i) b.push_back({double(i % 3), double(i / 3 % 3), double(i / 9)});
    const auto distances = nearestDistances(a, b);
    for (std::size_t i = 0; i < a.size(); ++i) {
        double best = 1e300;
        for (const Vec3& q : b) best = std::min(best, std::hypot(a[i][0] - q[0], a[i][1] - q[1], a[i][2] - q[2]));
        EXPECT_NEAR(distances[i], best, 1e-12);
    }
    EXPECT_THROW(nearestDistances(a, {}), DataError);
    b[3][1] = std::nan("");
    EXPECT_THROW(nearestDistances(a, b), DataError);
}

TEST(RandomField, FollowsTheEdgesOfTheImage) {
    const Geometry geometry = Geometry::axisAligned({40, 40, 6}, {1, 1, 1});
    Volume<float> image(geometry), probability(geometry);
    Random random(12);
    for (std::int64_t z = 0; z < 6; ++z)
        for (std::int64_t y = 0; y < 40; ++y)
            for (std::int64_t x = 0; x < 40; ++x) {
                image(x, y, z) = static_cast<float>((x < 20 ? 100 : 0) + random.normal());
                // The edge is predicted three voxels off, with holes.
                probability(x, y, z) = (x < 23) == (random.uniform() < 0.9) ? 0.7F : 0.3F;
            }
    const auto refined = refineProbability(image, probability);
    std::int64_t wrongBefore = 0, wrongAfter = 0;
    for (std::int64_t i = 0; i < image.voxelCount(); ++i) {
        const bool truth = i % 40 < 20;
        wrongBefore += (probability.data()[i] > 0.5F) != truth;
        wrongAfter += (refined.data()[i] > 0.5F) != truth;
        EXPECT_TRUE(refined.data()[i] >= 0 && refined.data()[i] <= 1);
    }
    EXPECT_GT(wrongBefore, 1000);
    EXPECT_LT(wrongAfter, 50);
    // Two classes are the same field as one foreground.
    std::vector<Volume<float>> classes;
    classes.emplace_back(geometry);
    classes.push_back(probability.clone());
    for (std::int64_t i = 0; i < image.voxelCount(); ++i) classes[0].data()[i] = 1 - probability.data()[i];
    refineProbabilities(image, classes);
    for (std::int64_t i = 0; i < image.voxelCount(); ++i) ASSERT_NEAR(classes[1].data()[i], refined.data()[i], 2e-3);
    EXPECT_THROW(refineProbability(image, Volume<float>(Geometry::axisAligned({2, 2, 2}, {1, 1, 1}), 0.5F)), DataError);
    CrfOptions bad;
    bad.appearanceMm = 0;
    EXPECT_THROW(refineProbability(image, probability, bad), UsageError);
}

}  // namespace
}  // namespace medseg
