#include "medseg/metrics/overlap.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "metrics/random_maps.h"

namespace medseg {
namespace {

using test::blobMap;
using test::noiseMap;

/// Voxel by voxel, with a map.
std::vector<ConfusionCell> slowCells(const LabelMap& a, const LabelMap& b) {
    std::map<std::pair<int, int>, std::int64_t> counts;
    const Index3& size = a.geometry().size();
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t x = 0; x < size[0]; ++x) ++counts[{a.at(x, y, z), b.at(x, y, z)}];
    std::vector<ConfusionCell> cells;
    for (const auto& [key, voxels] : counts) cells.push_back({key.first, key.second, voxels});
    return cells;
}

IndexBox slowBox(const LabelMap& map, int id) {
    IndexBox box;
    const Index3& size = map.geometry().size();
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t x = 0; x < size[0]; ++x)
                if (map.at(x, y, z) == id) box = box.unitedWith({{x, y, z}, {x + 1, y + 1, z + 1}});
    return box;
}

void expectEqualToSlow(const LabelMap& a, const LabelMap& b) {
    EXPECT_EQ(confusionOf(a, b).cells(), slowCells(a, b));
    const Confusion confusion = confusionOf(a, b, true);
    EXPECT_EQ(confusion.cells(), slowCells(a, b));
    for (const int id : confusion.allIds()) {
        EXPECT_EQ(confusion.referenceBox(id).first, slowBox(a, id).first);
        EXPECT_EQ(confusion.referenceBox(id).last, slowBox(a, id).last);
        EXPECT_EQ(confusion.predictionBox(id).last, slowBox(b, id).last);
    }
}

TEST(Confusion, EqualsVoxelByVoxelCounting) {
    const Index3 size{77, 13, 9};
    expectEqualToSlow(noiseMap({5, 3, 2}, {1, 1, 1}, 3, 0.5, 1), noiseMap({5, 3, 2}, {1, 1, 1}, 3, 0.5, 2));
    expectEqualToSlow(noiseMap(size, {1, 1, 1}, 255, 0.1, 3), noiseMap(size, {1, 1, 1}, 255, 0.1, 4));
    expectEqualToSlow(blobMap(size, {1, 1, 1}, 7, 5), blobMap(size, {1, 1, 1}, 7, 6));
    expectEqualToSlow(blobMap<std::uint16_t>(size, {1, 1, 1}, 400, 7), blobMap<std::uint16_t>(size, {1, 1, 1}, 300, 8));
    expectEqualToSlow(blobMap<std::uint16_t>(size, {1, 1, 1}, 400, 7), blobMap(size, {1, 1, 1}, 9, 8));
    expectEqualToSlow(noiseMap<std::uint16_t>(size, {1, 1, 1}, 65535, 0.3, 9), noiseMap(size, {1, 1, 1}, 9, 0.9, 8));
}

TEST(Confusion, DoesNotDependOnThreads) {
    const LabelMap a = blobMap({150, 140, 60}, {1, 1, 1}, 30, 1), b = blobMap({150, 140, 60}, {1, 1, 1}, 30, 2);
    setThreadCount(1);
    const Confusion one = confusionOf(a, b, true);
    setThreadCount(4);
    const Confusion four = confusionOf(a, b, true);
    setThreadCount(0);
    EXPECT_EQ(one.cells(), four.cells());
}

TEST(Confusion, MatchesDifferentIdsOfOneStructure) {
    Volume<std::uint8_t> a(Geometry::axisAligned({4, 1, 1}, {1, 1, 1}), 0), b(a.geometry(), 0);
    a(0, 0, 0) = a(1, 0, 0) = 2;
    b(1, 0, 0) = b(2, 0, 0) = 5;
    const Confusion confusion = confusionOf(LabelMap(std::move(a)), LabelMap(std::move(b)));
    const OverlapCounts counts = confusion.counts(2, 5);
    EXPECT_EQ(counts.reference, 2);
    EXPECT_EQ(counts.prediction, 2);
    EXPECT_EQ(counts.intersection, 1);
    EXPECT_EQ(confusion.counts(2, 0).prediction, 0);
    EXPECT_EQ(confusion.counts(70000).reference, 0);
}

TEST(Confusion, RefusesDifferentSizes) {
    EXPECT_THROW(confusionOf(noiseMap({5, 3, 2}, {1, 1, 1}, 3, 0.5, 1), noiseMap({5, 2, 3}, {1, 1, 1}, 3, 0.5, 2)),
                 DataError);
}

TEST(Overlap, EmptyMasks) {
    const OverlapCounts bothEmpty{0, 0, 0, 10}, onlyPrediction{0, 4, 0, 10}, onlyReference{4, 0, 0, 10};
    EXPECT_TRUE(std::isnan(diceScore(bothEmpty)));
    EXPECT_TRUE(std::isnan(iouScore(bothEmpty)));
    EXPECT_EQ(diceScore(bothEmpty, BothEmpty::One), 1);
    EXPECT_EQ(iouScore(bothEmpty, BothEmpty::One), 1);
    EXPECT_EQ(diceScore(onlyPrediction), 0);
    EXPECT_EQ(diceScore(onlyReference), 0);
    EXPECT_EQ(diceScore(onlyReference, BothEmpty::One), 0);
    EXPECT_TRUE(std::isnan(sensitivity(onlyPrediction)));
    EXPECT_EQ(sensitivity(onlyReference), 0);
    EXPECT_TRUE(std::isnan(precision(onlyReference)));
    EXPECT_TRUE(std::isnan(relativeVolumeDifference(onlyPrediction)));
    EXPECT_EQ(relativeVolumeDifference(onlyReference), -1);
    EXPECT_EQ(volumetricSimilarity(onlyReference), 0);
}

}  // namespace
}  // namespace medseg
