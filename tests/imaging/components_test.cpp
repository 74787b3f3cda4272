#include "medseg/imaging/components.h"

#include <array>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

Volume<std::uint8_t> noise(const Index3& size, int values, double density, std::uint64_t seed) {
    Random random(seed);
    Volume<std::uint8_t> volume(Geometry::axisAligned(size, {1, 1, 1}));
    for (auto& v : volume.voxels())
        v = random.uniform() < density ? static_cast<std::uint8_t>(1 + random.index(values)) : 0;
    return volume;
}

bool areNeighbours(const Index3& d, Connectivity connectivity) {
    const int steps = (d[0] != 0) + (d[1] != 0) + (d[2] != 0);
    switch (connectivity) {
        case Connectivity::Six:
            return steps == 1;
        case Connectivity::Eighteen:
            return steps == 1 || steps == 2;
        case Connectivity::TwentySix:
            return steps > 0;
        case Connectivity::Four:
            return steps == 1 && d[2] == 0;
        default:
            return steps > 0 && d[2] == 0;
    }
}

// Plain flood fill in raster order.
std::vector<std::uint32_t> floodFill(const Volume<std::uint8_t>& volume, Connectivity connectivity) {
    std::vector<std::uint32_t> labels(volume.voxelCount(), 0);
    std::uint32_t count = 0;
    std::vector<Index3> stack;
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                if (volume(x, y, z) == 0 || labels[volume.index(x, y, z)] != 0) continue;
                labels[volume.index(x, y, z)] = ++count;
                stack.assign(1, {x, y, z});
                while (!stack.empty()) {
                    const Index3 p = stack.back();
                    stack.pop_back();
                    for (int n = 0; n < 27; ++n) {
                        const Index3 d{n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1};
                        const Index3 q{p[0] + d[0], p[1] + d[1], p[2] + d[2]};
                        if (!areNeighbours(d, connectivity) || q[0] < 0 || q[1] < 0 || q[2] < 0 ||
                            q[0] >= volume.nx() || q[1] >= volume.ny() || q[2] >= volume.nz())
                            continue;
                        auto& label = labels[volume.index(q[0], q[1], q[2])];
                        if (label != 0 || volume(q[0], q[1], q[2]) != volume(p[0], p[1], p[2])) continue;
                        label = count;
                        stack.push_back(q);
                    }
                }
            }
    return labels;
}

constexpr std::array kAll{Connectivity::Four, Connectivity::Eight, Connectivity::Six, Connectivity::Eighteen,
                          Connectivity::TwentySix};

TEST(Components, EqualFloodFillOnNoise) {
    const std::vector<Index3> sizes{{37, 29, 70}, {90, 81, 1}, {1, 40, 30}, {300, 1, 1}, {64, 3, 33}};
    for (std::size_t i = 0; i < sizes.size(); ++i)
        for (const int values : {1, 3})
            for (const double density : {0.08, 0.3, 0.9}) {
                const auto volume = noise(sizes[i], values, density, i);
                for (const auto connectivity : kAll) {
                    const auto expected = floodFill(volume, connectivity);
                    const auto result = labelComponents(volume, connectivity);
                    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), result.labels.data()))
                        << formatSize(sizes[i]) << " connectivity " << static_cast<int>(connectivity);
                    ASSERT_EQ(result.count, *std::max_element(expected.begin(), expected.end()));
                }
            }
}

TEST(Components, StatisticsEqualCountedOnes) {
    const auto volume = noise({41, 37, 22}, 2, 0.2, 5);
    const auto labels = labelComponents(volume, Connectivity::TwentySix);
    const auto statistics = findComponents(volume, Connectivity::TwentySix);
    ASSERT_EQ(static_cast<std::int64_t>(statistics.size()), labels.count);
    std::vector<std::int64_t> voxels(statistics.size(), 0);
    std::vector<Vec3> sums(statistics.size(), Vec3{});
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const auto label = labels.labels(x, y, z);
                if (label == 0) continue;
                const Component& component = statistics[label - 1];
                EXPECT_EQ(component.value, volume(x, y, z));
                EXPECT_TRUE(component.low[0] <= x && x <= component.high[0] && component.low[1] <= y &&
                            y <= component.high[1] && component.low[2] <= z && z <= component.high[2]);
                ++voxels[label - 1];
                sums[label - 1] = {sums[label - 1][0] + double(x), sums[label - 1][1] + double(y),
                                   sums[label - 1][2] + double(z)};
            }
    for (std::size_t i = 0; i < statistics.size(); ++i) {
        EXPECT_EQ(statistics[i].voxels, voxels[i]);
        for (int axis = 0; axis < 3; ++axis)
            EXPECT_DOUBLE_EQ(statistics[i].centroid[axis], sums[i][axis] / double(voxels[i]));
    }
}

TEST(Components, DustKeepsComponentsOfTheThresholdItself) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({20, 3, 3}, {1, 1, 1}), 0);
    for (int x = 0; x < 4; ++x) volume(x, 1, 1) = 2;  // four voxels, touching
    for (int x = 4; x < 7; ++x) volume(x, 1, 1) = 3;  // three of another label
    volume(10, 0, 0) = volume(11, 1, 1) = 5;          // two, diagonal
    auto copy = volume.clone();
    EXPECT_EQ(removeSmallComponents(copy, 4, Connectivity::TwentySix), 5);
    EXPECT_EQ(copy(0, 1, 1), 2);
    EXPECT_EQ(copy(4, 1, 1), 0);
    EXPECT_EQ(copy(10, 0, 0), 0);
    copy = volume.clone();
    EXPECT_EQ(removeSmallComponents(copy, 2, Connectivity::TwentySix), 0);
    EXPECT_EQ(removeSmallComponents(copy, 2, Connectivity::Six), 2);
    // Within slices the diagonal voxels are apart.
    EXPECT_EQ(removeSmallComponents(copy, 1, Connectivity::Eight), 0);
}

TEST(Components, LargestOfAllAndOfEachLabel) {
    Volume<std::int32_t> volume(Geometry::axisAligned({30, 1, 1}, {1, 1, 1}), 0);
    const auto paint = [&](int first, int count, int value) {
        for (int x = first; x < first + count; ++x) volume(x, 0, 0) = value;
    };
    paint(0, 3, 7);
    paint(3, 2, -4);
    paint(8, 4, 7);
    paint(14, 4, 7);
    paint(20, 2, -4);
    const auto mask = largestComponent(volume, Connectivity::Six);
    EXPECT_EQ(mask(0, 0, 0), 1);
    EXPECT_EQ(mask(4, 0, 0), 1);
    EXPECT_EQ(mask(8, 0, 0), 0);
    EXPECT_EQ(keepLargestComponents(volume, Connectivity::Six), 3 + 4 + 2);
    EXPECT_EQ(volume(8, 0, 0), 7);  // the first of two equally large ones
    EXPECT_EQ(volume(14, 0, 0), 0);
    EXPECT_EQ(volume(3, 0, 0), -4);
    EXPECT_EQ(volume(20, 0, 0), 0);
}

TEST(Components, MoreThan65535) {
    Volume<std::uint16_t> volume(Geometry::axisAligned({128, 128, 64}, {1, 1, 1}), 0);
    std::int64_t expected = 0;
    for (std::int64_t z = 0; z < 64; ++z)
        for (std::int64_t y = 0; y < 128; ++y)
            for (std::int64_t x = 0; x < 128; ++x)
                if ((x + y + z) % 2 == 0) {
                    volume(x, y, z) = 40000;
                    ++expected;
                }
    const auto result = labelComponents(volume, Connectivity::Six);
    EXPECT_EQ(result.count, expected);
    EXPECT_GT(expected, 65535);
    EXPECT_EQ(result.labels(126, 127, 63), expected);
    EXPECT_EQ(labelComponents(volume, Connectivity::Eighteen).count, 1);
}

TEST(Components, EmptyMaskSingleVoxelAndBadInput) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({5, 4, 3}, {1, 1, 1}), 0);
    EXPECT_EQ(labelComponents(volume, Connectivity::Six).count, 0);
    EXPECT_TRUE(findComponents(volume, Connectivity::Six).empty());
    EXPECT_EQ(keepLargestComponents(volume, Connectivity::Six), 0);
    volume(4, 3, 2) = 9;
    const auto statistics = findComponents(volume, Connectivity::TwentySix);
    ASSERT_EQ(statistics.size(), 1U);
    EXPECT_EQ(statistics[0].value, 9);
    EXPECT_EQ(statistics[0].low, (Index3{4, 3, 2}));
    EXPECT_EQ(largestComponent(volume, Connectivity::Six)(4, 3, 2), 1);
    EXPECT_THROW(labelComponents(Volume<std::uint8_t>(), Connectivity::Six), DataError);
    EXPECT_THROW(connectivityFromNumber(7), UsageError);
}

TEST(Components, ThreadsDoNotChangeResults) {
    const auto volume = noise({90, 80, 70}, 3, 0.35, 9);
    setThreadCount(1);
    const auto one = labelComponents(volume, Connectivity::Eighteen);
    setThreadCount(2);
    const auto two = labelComponents(volume, Connectivity::Eighteen);
    setThreadCount(0);
    EXPECT_TRUE(std::equal(one.labels.voxels().begin(), one.labels.voxels().end(), two.labels.data()));
}

}  // namespace
}  // namespace medseg
