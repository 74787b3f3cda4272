#include "medseg/imaging/distance.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

Volume<std::uint8_t> noise(const Index3& size, const Vec3& spacing, double density, std::uint64_t seed) {
    Random random(seed);
    Volume<std::uint8_t> volume(Geometry::axisAligned(size, spacing));
    for (auto& v : volume.voxels()) v = random.uniform() < density ? 1 : 0;
    return volume;
}

double bruteForce(const Volume<std::uint8_t>& mask, const Index3& p, int metric) {
    const Vec3 s = mask.geometry().spacing();
    double best = std::numeric_limits<double>::infinity();
    for (std::int64_t z = 0; z < mask.nz(); ++z)
        for (std::int64_t y = 0; y < mask.ny(); ++y)
            for (std::int64_t x = 0; x < mask.nx(); ++x) {
                if (mask(x, y, z) != 0) continue;
                const Vec3 d{std::abs(double(x - p[0])), std::abs(double(y - p[1])), std::abs(double(z - p[2]))};
                double distance = 0;
                if (metric == 0)
                    distance =
                        std::sqrt(d[0] * s[0] * d[0] * s[0] + d[1] * s[1] * d[1] * s[1] + d[2] * s[2] * d[2] * s[2]);
                if (metric == 1) distance = std::max({d[0], d[1], d[2]});
                if (metric == 2) distance = d[0] + d[1] + d[2];
                best = std::min(best, distance);
            }
    return best;
}

template <typename T, typename Predicate>
void expectAll(const Volume<T>& volume, const Predicate& predicate) {
    for (const T v : volume.voxels()) EXPECT_TRUE(predicate(v)) << v;
}

TEST(Distance, EqualsBruteForce) {
    int seed = 0;
    for (const Index3& size :
         {Index3{19, 17, 15}, Index3{40, 3, 9}, Index3{33, 31, 1}, Index3{1, 50, 1}, Index3{1, 1, 21}})
        for (const double density : {0.5, 0.9, 0.998}) {
            auto mask = noise(size, {0.8, 1.3, 2.5}, density, ++seed);
            mask(size[0] - 1, size[1] / 2, 0) = 0;
            const auto exact = distanceToZero<double>(mask);
            const auto single = distanceToZero(mask);
            const auto chessboard = gridDistanceToZero(mask, GridMetric::Chessboard);
            const auto taxicab = gridDistanceToZero(mask, GridMetric::Taxicab);
            for (std::int64_t z = 0; z < size[2]; ++z)
                for (std::int64_t y = 0; y < size[1]; ++y)
                    for (std::int64_t x = 0; x < size[0]; ++x) {
                        const double expected = bruteForce(mask, {x, y, z}, 0);
                        ASSERT_NEAR(exact(x, y, z), expected, 1e-12);
                        ASSERT_NEAR(single(x, y, z), expected, 4e-7 * expected);
                        ASSERT_EQ(chessboard(x, y, z), bruteForce(mask, {x, y, z}, 1));
                        ASSERT_EQ(taxicab(x, y, z), bruteForce(mask, {x, y, z}, 2));
                    }
        }
}

TEST(Distance, SignedIsTheDifferenceOfBothSides) {
    const auto mask = noise({21, 18, 11}, {1, 0.7, 3}, 0.4, 77);
    const auto both = signedDistance<double>(mask);
    const auto inside = distanceToZero<double>(mask);
    const auto outside = distanceToMask<double>(mask);
    for (std::int64_t i = 0; i < mask.voxelCount(); ++i) {
        EXPECT_EQ(both.data()[i], outside.data()[i] - inside.data()[i]);
        EXPECT_NE(both.data()[i], 0);
    }
}

TEST(Distance, EmptyFullAndSingle) {
    const Geometry geometry = Geometry::axisAligned({6, 5, 4}, {1, 1, 1});
    const Volume<std::uint8_t> empty(geometry, 0), full(geometry, 1);
    expectAll(distanceToZero(empty), [](auto v) { return v == 0; });
    expectAll(distanceToZero(full), [](auto v) { return std::isinf(v) && v > 0; });
    expectAll(signedDistance(full), [](auto v) { return std::isinf(v) && v < 0; });
    expectAll(signedDistance(empty), [](auto v) { return std::isinf(v) && v > 0; });
    expectAll(gridDistanceToZero(full, GridMetric::Taxicab), [](auto v) { return v == -1; });
    Volume<std::uint8_t> single(geometry, 0);
    single(5, 4, 3) = 1;
    EXPECT_EQ(distanceToZero(single)(5, 4, 3), 1);
    EXPECT_FLOAT_EQ(distanceToMask(single)(0, 0, 0), std::sqrt(25.0F + 16 + 9));
    EXPECT_THROW(distanceToZero(Volume<std::uint8_t>()), DataError);
}

TEST(Distance, ThreadsDoNotChangeResults) {
    const auto mask = noise({70, 60, 50}, {1, 0.7, 3}, 0.98, 5);
    setThreadCount(1);
    const auto one = distanceToZero(mask);
    setThreadCount(2);
    const auto two = distanceToZero(mask);
    setThreadCount(0);
    for (std::int64_t i = 0; i < mask.voxelCount(); ++i) ASSERT_EQ(one.data()[i], two.data()[i]);
}

}  // namespace
}  // namespace medseg
