#include "medseg/imaging/morphology.h"

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/label_smoothing.h"

namespace medseg {
namespace {

Volume<std::uint8_t> noise(const Index3& size, double density, std::uint64_t seed) {
    Random random(seed);
    Volume<std::uint8_t> volume(Geometry::axisAligned(size, {1, 1, 1}));
    for (auto& v : volume.voxels()) v = random.uniform() < density ? 7 : 0;
    return volume;
}

TEST(Morphology, ErosionAndDilationAreDual) {
    const auto mask = noise({23, 19, 17}, 0.6, 1);
    auto complement = mask.clone();
    for (auto& v : complement.voxels()) v = v == 0;
    for (const auto& element :
         {StructuringElement::neighbours(1), StructuringElement::neighbours(3), StructuringElement::ball(2)}) {
        const auto eroded = erode(mask, element, {2, true});
        const auto dilated = dilate(complement, element, {2, false});
        for (std::int64_t i = 0; i < mask.voxelCount(); ++i) ASSERT_EQ(eroded.data()[i], 1 - dilated.data()[i]);
    }
}

TEST(Morphology, ElementsHaveTheirNeighbours) {
    EXPECT_EQ(StructuringElement::neighbours(1).offsets.size(), 7U);
    EXPECT_EQ(StructuringElement::neighbours(2).offsets.size(), 19U);
    EXPECT_EQ(StructuringElement::neighbours(3).offsets.size(), 27U);
    EXPECT_EQ(StructuringElement::neighbours(2, 2).offsets.size(), 9U);
    EXPECT_EQ(StructuringElement::ballMm(2, {1, 1, 4}).offsets.size(), 13U);
    EXPECT_THROW(StructuringElement::neighbours(3, 2), UsageError);
    EXPECT_THROW(StructuringElement::ball(-1), UsageError);
    const auto mask = noise({5, 5, 5}, 0.5, 2);
    EXPECT_THROW(erode(mask, StructuringElement::neighbours(1), {0, false}), UsageError);
    EXPECT_THROW(erode(Volume<std::uint8_t>(), StructuringElement::neighbours(1)), DataError);
}

TEST(FillHoles, CavityIsFilledAndTunnelIsNot) {
    Volume<std::uint8_t> mask(Geometry::axisAligned({9, 9, 9}, {1, 1, 1}), 0);
    for (int z = 2; z < 7; ++z)
        for (int y = 2; y < 7; ++y)
            for (int x = 2; x < 7; ++x) mask(x, y, z) = 5;
    mask(4, 4, 4) = 0;
    auto filled = fillHoles(mask);
    EXPECT_EQ(filled(4, 4, 4), 1);
    EXPECT_EQ(filled(0, 0, 0), 0);
    for (int z = 5; z < 9; ++z) mask(4, 4, z) = 0;  // open towards the top
    filled = fillHoles(mask);
    EXPECT_EQ(filled(4, 4, 4), 0);
    // Within its slice the tunnel is a hole.
    EXPECT_EQ(fillHoles(mask, HoleKind::Slices)(4, 4, 6), 1);
}

TEST(FillHoles, DiagonalGapsOpenForFullNeighbours) {
    Volume<std::uint8_t> mask(Geometry::axisAligned({5, 5, 1}, {1, 1, 1}), 0);
    for (int i = 1; i < 4; ++i) mask(i, 1, 0) = mask(i, 3, 0) = mask(1, i, 0) = mask(3, i, 0) = 1;
    mask(1, 1, 0) = 0;
    EXPECT_EQ(fillHoles(mask)(2, 2, 0), 1);
    EXPECT_EQ(fillHoles(mask, HoleKind::Volume, true)(2, 2, 0), 0);
}

TEST(Morphology, ThreadsDoNotChangeResults) {
    const auto mask = noise({60, 50, 40}, 0.65, 3);
    setThreadCount(1);
    const auto one = fillHoles(closeMask(mask, StructuringElement::ball(2)));
    setThreadCount(2);
    const auto two = fillHoles(closeMask(mask, StructuringElement::ball(2)));
    setThreadCount(0);
    EXPECT_TRUE(std::equal(one.voxels().begin(), one.voxels().end(), two.data()));
}

TEST(LabelSmoothing, MendsASliceThatDisagrees) {
    Volume<std::uint8_t> labels(Geometry::axisAligned({6, 6, 9}, {1, 1, 2}), 0);
    for (int z = 0; z < 9; ++z)
        for (int y = 1; y < 5; ++y)
            for (int x = 1; x < 5; ++x) labels(x, y, z) = z == 4 ? 0 : 3;
    labels(0, 0, 2) = 9;  // a speck in one slice
    const auto smooth = smoothLabels(labels);
    EXPECT_EQ(smooth(2, 2, 4), 3);
    EXPECT_EQ(smooth(0, 0, 2), 0);
    EXPECT_EQ(smooth(1, 1, 0), 3);
    EXPECT_THROW(smoothLabels(labels, {{0, 0, -1}}), UsageError);
    const auto same = smoothLabels(labels, {{0, 0, 0}});
    EXPECT_TRUE(std::equal(labels.voxels().begin(), labels.voxels().end(), same.data()));
}

}  // namespace
}  // namespace medseg
