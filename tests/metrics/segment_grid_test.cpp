#include "medseg/metrics/segment_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

/// A label at one voxel of a grid that runs to left, posterior, inferior.
LabelMap oneVoxel(const Geometry& grid, const Index3& at) {
    Volume<std::uint8_t> volume(grid, 0);
    volume(at[0], at[1], at[2]) = 3;
    return {std::move(volume), LabelTable::fromNames({"a", "b", "c"})};
}

TEST(SegmentGrid, PutsTurnedPartsWhereTheyLie) {
    const Geometry grid = Geometry::axisAligned({6, 5, 4}, {2, 2, 3});
    Affine affine = identityAffine();
    affine[0] = {-2, 0, 0, 10};
    affine[1] = {0, -2, 0, 8};
    affine[2] = {0, 0, -3, 6};
    const Geometry part({6, 5, 2}, affine);  // slices 2 and 1 of the grid
    const LabelMap labels = onGrid(oneVoxel(part, {1, 0, 1}), grid, "seg.dcm");
    EXPECT_EQ(labels.geometry().size(), grid.size());
    EXPECT_EQ(labels.at(4, 4, 1), 3);
    EXPECT_EQ(labels.countVoxels()[3], 1);
    EXPECT_EQ(labels.table().nameOf(3), "c");
}

TEST(SegmentGrid, LeavesOtherLatticesAlone) {
    const Geometry grid = Geometry::axisAligned({6, 5, 4}, {2, 2, 3});
    for (const Geometry& other :
         {Geometry::axisAligned({6, 5, 2}, {2, 2, 3}, {1, 0, 0}), Geometry::axisAligned({6, 5, 2}, {2, 2, 3.1})})
        EXPECT_EQ(onGrid(oneVoxel(other, {0, 0, 0}), grid, "x").geometry().size(), other.size());
}

TEST(SegmentGrid, RefusesLabelsOutside) {
    const Geometry grid = Geometry::axisAligned({6, 5, 4}, {2, 2, 3});
    const Geometry beyond = Geometry::axisAligned({6, 5, 4}, {2, 2, 3}, {0, 0, 3});
    EXPECT_EQ(onGrid(oneVoxel(beyond, {0, 0, 2}), grid, "x").at(0, 0, 3), 3);
    EXPECT_THROW(onGrid(oneVoxel(beyond, {0, 0, 3}), grid, "x"), DataError);
}

TEST(SegmentGrid, CommonGridHoldsBoth) {
    const Geometry a = Geometry::axisAligned({6, 5, 2}, {2, 2, 3}, {0, 0, 6});
    const Geometry b = Geometry::axisAligned({6, 5, 3}, {2, 2, 3}, {0, 0, 0});
    const Geometry common = commonGrid(a, b);
    EXPECT_EQ(common.size(), (Index3{6, 5, 4}));
    EXPECT_THAT(common.voxelToWorld({0, 0, 0}), testing::ElementsAre(0.0, 0.0, 0.0));
}

}  // namespace
}  // namespace medseg
