#include "medseg/metrics/detection.h"

#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/threads.h"
#include "metrics/random_maps.h"

namespace medseg {
namespace {

LabelMap rowMap(const std::vector<int>& voxels) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({static_cast<std::int64_t>(voxels.size()), 1, 1}, {1, 1, 1}));
    for (std::size_t i = 0; i < voxels.size(); ++i) volume.data()[i] = static_cast<std::uint8_t>(voxels[i]);
    return LabelMap(std::move(volume));
}

LesionOverlap overlapOf(const LabelMap& a, const LabelMap& b,
                        LesionConnectivity connectivity = LesionConnectivity::Full) {
    const Confusion confusion = confusionOf(a, b, true);
    return lesionOverlap({&a, 1, confusion.referenceBox(1)}, {&b, 1, confusion.predictionBox(1)}, connectivity);
}

TEST(Lesions, GreedyTakesTheBestPairFirstAndMaximumMatchingFindsMore) {
    // Prediction 1 covers the end of lesion 1 and all of lesion 2; prediction 2 the start of lesion 2 only by touching
    // it.
    LesionOverlap overlap;
    overlap.referenceVoxels = {10, 10};
    overlap.predictionVoxels = {10, 10};
    overlap.pairs = {{0, 0, 5, 0.3}, {1, 0, 8, 0.6}, {1, 1, 4, 0.25}};
    const LesionMatches greedy = matchLesions(overlap, 0.2);
    EXPECT_EQ(greedy.truePositives, 1);
    EXPECT_EQ(greedy.sumOfIou, 0.6);
    EXPECT_EQ(maximumMatches(overlap, 0.2), 2);
    EXPECT_EQ(maximumMatches(overlap, 0.5), 1);
}

TEST(Lesions, CountsAndQuotients) {
    const LabelMap reference = rowMap({1, 1, 0, 1, 1, 1, 0, 0, 1, 0});
    const LabelMap prediction = rowMap({1, 1, 0, 0, 1, 1, 1, 0, 0, 1});
    const LesionOverlap overlap = overlapOf(reference, prediction);
    EXPECT_EQ(overlap.referenceVoxels, (std::vector<std::int64_t>{2, 3, 1}));
    EXPECT_EQ(overlap.predictionVoxels, (std::vector<std::int64_t>{2, 3, 1}));
    const LesionMatches matches = matchLesions(overlap, 0.5);
    EXPECT_EQ(matches.truePositives, 2);
    EXPECT_DOUBLE_EQ(matches.precision(), 2.0 / 3);
    EXPECT_DOUBLE_EQ(matches.recall(), 2.0 / 3);
    EXPECT_DOUBLE_EQ(matches.meanIou(), 0.75);
    EXPECT_DOUBLE_EQ(matches.panopticQuality(), 0.5);
    EXPECT_EQ(overlap.touchedReferences(), 2);
}

TEST(Lesions, NoneAtAll) {
    const LabelMap empty = rowMap({0, 0, 0});
    const LesionMatches matches = matchLesions(overlapOf(empty, empty), 0.5);
    EXPECT_TRUE(std::isnan(matches.f1()));
    EXPECT_TRUE(std::isnan(matches.panopticQuality()));
    EXPECT_EQ(matchLesions(overlapOf(rowMap({0, 1, 0}), empty), 0.5).f1(), 0);
}

TEST(Lesions, MoreThan65535) {
    // A chessboard of single voxels under face connectivity.
    const Index3 size{300, 240, 2};
    Volume<std::uint8_t> board(Geometry::axisAligned(size, {1, 1, 1}), 0);
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t x = 0; x < size[0]; ++x) board(x, y, z) = (x + y + z) % 2 == 0;
    const LabelMap map(std::move(board));
    const LesionOverlap overlap = overlapOf(map, map, LesionConnectivity::Face);
    EXPECT_EQ(overlap.referenceVoxels.size(), 72000U);
    EXPECT_EQ(matchLesions(overlap, 1).truePositives, 72000);
    EXPECT_EQ(maximumMatches(overlap, 1), 72000);
    EXPECT_EQ(overlapOf(map, map, LesionConnectivity::Full).referenceVoxels.size(), 1U);
}

TEST(Lesions, DoNotDependOnThreads) {
    const LabelMap a = test::noiseMap({80, 70, 60}, {1, 1, 1}, 1, 0.85, 1),
                   b = test::noiseMap({80, 70, 60}, {1, 1, 1}, 1, 0.85, 2);
    setThreadCount(1);
    const LesionOverlap one = overlapOf(a, b, LesionConnectivity::Face);
    setThreadCount(4);
    const LesionOverlap four = overlapOf(a, b, LesionConnectivity::Face);
    setThreadCount(0);
    EXPECT_EQ(one.referenceVoxels, four.referenceVoxels);
    ASSERT_EQ(one.pairs.size(), four.pairs.size());
    for (std::size_t i = 0; i < one.pairs.size(); ++i) {
        EXPECT_EQ(one.pairs[i].reference, four.pairs[i].reference);
        EXPECT_EQ(one.pairs[i].voxels, four.pairs[i].voxels);
    }
}

}  // namespace
}  // namespace medseg
