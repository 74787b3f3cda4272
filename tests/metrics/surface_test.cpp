#include "medseg/metrics/surface.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/metrics/nearest_surface.h"
#include "medseg/metrics/surface_bits.h"
#include "metrics/random_maps.h"

namespace medseg {
namespace {

using test::blobMap;
using test::noiseMap;

constexpr std::array kDefinitions{SurfaceDefinition::DeepMind, SurfaceDefinition::Monai, SurfaceDefinition::Medpy};

LabelMap boxMap(const Index3& size, const Vec3& spacing, const Index3& first, const Index3& last) {
    Volume<std::uint8_t> volume(Geometry::axisAligned(size, spacing), 0);
    for (std::int64_t z = first[2]; z < last[2]; ++z)
        for (std::int64_t y = first[1]; y < last[1]; ++y)
            for (std::int64_t x = first[0]; x < last[0]; ++x) volume(x, y, z) = 1;
    return LabelMap(std::move(volume));
}

BitGrid randomBits(const Index3& size, double density, std::uint64_t seed) {
    BitGrid grid(size);
    Random random(seed);
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t x = 0; x < size[0]; ++x)
                if (random.uniform() < density) grid.row(y, z)[x >> 6] |= std::uint64_t{1} << (x & 63);
    return grid;
}

std::vector<GridPoint> pointsOf(const BitGrid& grid, bool setOnly) {
    std::vector<GridPoint> points;
    for (std::int32_t z = 0; z < grid.size()[2]; ++z)
        for (std::int32_t y = 0; y < grid.size()[1]; ++y)
            for (std::int32_t x = 0; x < grid.size()[0]; ++x)
                if (!setOnly || grid.test(x, y, z)) points.push_back({x, y, z});
    return points;
}

void expectExactDistances(const BitGrid& grid, const Vec3& spacing) {
    const std::vector<GridPoint> points = pointsOf(grid, false);
    const std::vector<GridPoint> surface = pointsOf(grid, true);
    const std::vector<double> squares = NearestSurface(grid, spacing).squaredDistances(points);
    for (std::size_t i = 0; i < points.size(); ++i) {
        double best = INFINITY;
        for (const GridPoint& other : surface) {
            const double dx = (other.x - points[i].x) * spacing[0];
            const double dy = (other.y - points[i].y) * spacing[1];
            const double dz = (other.z - points[i].z) * spacing[2];
            best = std::min(best, dx * dx + dy * dy + dz * dz);
        }
        ASSERT_EQ(squares[i], best) << points[i].x << " " << points[i].y << " " << points[i].z;
    }
}

TEST(NearestSurface, EqualsBruteForce) {
    expectExactDistances(randomBits({70, 20, 15}, 0.02, 1), {0.7, 1.3, 2.5});
    expectExactDistances(randomBits({130, 9, 4}, 0.3, 2), {1, 1, 1});
    expectExactDistances(randomBits({33, 40, 1}, 0.01, 3), {0.3, 0.6, 5});
}

TEST(NearestSurface, EqualsBruteForceFarAway) {
    // One corner of the grid only, so that the slabs do the work.
    for (const Vec3& spacing : {Vec3{1, 1, 1}, Vec3{0.742188, 0.742188, 2.5}, Vec3{3, 0.5, 0.4}}) {
        BitGrid grid({75, 60, 40});
        for (std::int64_t z = 0; z < 3; ++z)
            for (std::int64_t y = 0; y < 5; ++y) grid.row(y, z)[0] = 0x51 << z;
        expectExactDistances(grid, spacing);
        BitGrid single({75, 60, 40});
        single.row(59, 20)[1] = 4;
        expectExactDistances(single, spacing);
    }
}

TEST(SurfaceElements, WeightsAreSymmetric) {
    // Exchanging inside and outside leaves the surface where it is; so does mirroring.
    for (const bool isFlat : {false, true}) {
        const std::vector<double> weights = surfaceElementWeights({0.8, 1.1, 2.5}, isFlat);
        const int last = static_cast<int>(weights.size()) - 1;
        EXPECT_EQ(weights.front(), 0);
        for (int code = 0; code <= last; ++code) {
            EXPECT_DOUBLE_EQ(weights[code], weights[last - code]) << code;
            int mirrored = 0;
            for (int bit = 0; bit < 8; ++bit)
                if ((code >> bit & 1) != 0) mirrored |= 1 << (bit ^ 1);
            EXPECT_DOUBLE_EQ(weights[code], weights[mirrored]) << code;
        }
    }
}

TEST(SurfaceDistances, SingleVoxel) {
    const LabelMap voxel = boxMap({7, 7, 7}, {1, 1, 1}, {3, 3, 3}, {4, 4, 4});
    const LabelMap shifted = boxMap({7, 7, 7}, {1, 1, 1}, {3, 3, 4}, {4, 4, 5});
    const SurfaceDistances distances = surfaceDistances(voxel, shifted, 1);
    EXPECT_EQ(distances.fromReference.count(), 8);
    EXPECT_NEAR(distances.fromReference.totalWeight(), std::sqrt(3.0), 1e-12);  // an octahedron with edges of sqrt(1/2)
    EXPECT_EQ(distances.hausdorff(100), 1);
    EXPECT_NEAR(distances.averageSymmetric(), 0.5, 1e-12);
}

TEST(SurfaceDistances, MasksAtTheBorder) {
    // Everything is inside: the whole border is surface, in both definitions.
    const LabelMap all = boxMap({6, 5, 4}, {1, 1, 1}, {0, 0, 0}, {6, 5, 4});
    const LabelMap inner = boxMap({6, 5, 4}, {1, 1, 1}, {1, 1, 1}, {5, 4, 3});
    for (const SurfaceDefinition definition : kDefinitions) {
        EXPECT_EQ(surfaceDistances(all, all, 1, false, definition).hausdorff(), 0);
        EXPECT_EQ(surfaceDistances(all, inner, 1, false, definition).hausdorff(), std::sqrt(3.0));
    }
}

TEST(SurfaceDistances, EmptyMasks) {
    const LabelMap empty = boxMap({5, 5, 5}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0});
    const LabelMap box = boxMap({5, 5, 5}, {1, 1, 1}, {1, 1, 1}, {3, 3, 3});
    for (const SurfaceDefinition definition : kDefinitions) {
        const SurfaceDistances none = surfaceDistances(empty, empty, 1, false, definition);
        EXPECT_TRUE(std::isnan(none.surfaceDice(1)));
        EXPECT_TRUE(std::isnan(none.averageSymmetric()));
        EXPECT_TRUE(std::isnan(none.chamfer()));
        const SurfaceDistances missing = surfaceDistances(box, empty, 1, false, definition);
        EXPECT_EQ(missing.surfaceDice(100), 0);
        EXPECT_TRUE(std::isinf(missing.hausdorff()));
        EXPECT_TRUE(std::isinf(missing.chamfer()));
    }
}

TEST(SurfaceDistances, DifferentSizesAreRefused) {
    EXPECT_THROW(surfaceDistances(boxMap({5, 5, 5}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}),
                                  boxMap({5, 5, 6}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}), 1),
                 DataError);
}

TEST(SurfaceDistances, PropertiesOnRandomMasks) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
        const Index3 size{20 + static_cast<std::int64_t>(seed), 17, 11};
        const Vec3 spacing{0.7, 1.1, 2.0};
        const LabelMap a = seed % 2 == 0 ? blobMap(size, spacing, 1, seed) : noiseMap(size, spacing, 1, 0.8, seed);
        const LabelMap b =
            seed % 3 == 0 ? blobMap(size, spacing, 1, seed + 50) : noiseMap(size, spacing, 1, 0.9, seed + 50);
        for (const SurfaceDefinition definition : kDefinitions) {
            const SurfaceDistances there = surfaceDistances(a, b, 1, false, definition);
            const SurfaceDistances back = surfaceDistances(b, a, 1, false, definition);
            EXPECT_EQ(there.hausdorff(), back.hausdorff());
            EXPECT_EQ(there.hausdorff(95), back.hausdorff(95));
            EXPECT_NEAR(there.averageSymmetric(), back.averageSymmetric(), 1e-12);
            EXPECT_LE(there.hausdorff(95), there.hausdorff());
            EXPECT_LE(there.averageFromReference(), there.fromReference.largest());
            double previous = 0;
            for (const double tolerance : {0.0, 0.5, 1.0, 2.0, 5.0, 100.0}) {
                const double dice = there.surfaceDice(tolerance);
                EXPECT_GE(dice, previous);
                EXPECT_LE(dice, 1);
                previous = dice;
            }
            EXPECT_EQ(previous, 1);
            EXPECT_EQ(surfaceDistances(a, a, 1, false, definition).hausdorff(), 0);
        }
    }
}

TEST(SurfaceDistances, DoNotDependOnThreads) {
    const LabelMap a = blobMap({120, 100, 40}, {0.8, 0.8, 2}, 5, 1), b = blobMap({120, 100, 40}, {0.8, 0.8, 2}, 5, 9);
    const auto values = [&] {
        std::vector<double> all;
        for (int id = 1; id <= 5; ++id) {
            const SurfaceDistances distances = surfaceDistances(a, b, id);
            for (const double value :
                 {distances.hausdorff(95), distances.averageSymmetric(), distances.surfaceDice(1), distances.chamfer()})
                if (!std::isnan(value)) all.push_back(value);
        }
        return all;
    };
    setThreadCount(1);
    const std::vector<double> one = values();
    setThreadCount(4);
    const std::vector<double> four = values();
    setThreadCount(0);
    EXPECT_EQ(one, four);
    EXPECT_GT(one.size(), 10U);
}

}  // namespace
}  // namespace medseg
