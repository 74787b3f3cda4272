#include "medseg/dataset/sam3d_frame.h"

#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/dataset/sam3d_conditions.h"

namespace medseg {
namespace {

/// Distance to a ball, memory order (i, j, k).
Volume<float> ball(const Index3& size, const Vec3& centre, double radius) {
    Volume<float> distance(Geometry::axisAligned({size[2], size[1], size[0]}, {1, 1, 1}));
    for (std::int64_t i = 0; i < size[0]; ++i)
        for (std::int64_t j = 0; j < size[1]; ++j)
            for (std::int64_t k = 0; k < size[2]; ++k)
                distance(k, j, i) = static_cast<float>(std::hypot(static_cast<double>(i) - centre[0],
                                                                  static_cast<double>(j) - centre[1],
                                                                  static_cast<double>(k) - centre[2]) -
                                                       radius);
    return distance;
}

std::int64_t count(const std::vector<std::uint8_t>& voxels) {
    return std::count(voxels.begin(), voxels.end(), 1);
}

TEST(OccupancyFrame, CropTakesTheMiddleVoxelsOneToOne) {
    const OccupancyFrame frame = cropFrame({64, 70, 40}, 64);
    EXPECT_DOUBLE_EQ(frame.toIndex(0, 10), 10);
    EXPECT_DOUBLE_EQ(frame.toIndex(1, 10), 13);
    EXPECT_DOUBLE_EQ(frame.toIndex(2, 12), 0);
    EXPECT_DOUBLE_EQ(frame.toFrame(1, 13), 10);
    const Volume<float> distance = ball({64, 70, 40}, {30, 35, 20}, 9);
    const auto occupied = occupancyInFrame(distance, frame);
    const auto at = [&](std::int64_t x, std::int64_t y, std::int64_t z) {
        return occupied[static_cast<std::size_t>((x * 64 + y) * 64 + z)];
    };
    EXPECT_EQ(at(30, 32, 32), 1);
    EXPECT_EQ(at(30 + 9, 32, 32), 0);
    EXPECT_EQ(at(30 + 8, 32, 32), 1);
    // Gauss: 3071 grid points within 9 of one, 102 of them at exactly 9, where the distance is not below 0.
    EXPECT_EQ(count(occupied), 3071 - 102);
}

TEST(OccupancyFrame, NothingIsOccupiedOutsideTheVolume) {
    // All of a small volume is inside the object; the frame is larger.
    Volume<float> distance(Geometry::axisAligned({10, 12, 14}, {1, 1, 1}), -1.0F);
    const auto occupied = occupancyInFrame(distance, cropFrame({14, 12, 10}, 64));
    EXPECT_EQ(count(occupied), 10 * 12 * 14);
}

TEST(OccupancyFrame, ObjectFrameFollowsTheMask) {
    Sam3dSlice slice;
    slice.axis = 1;
    slice.index = 20;
    slice.height = 40;
    slice.width = 50;
    slice.mask.assign(2000, 0);
    for (int y = 10; y < 20; ++y)
        for (int x = 30; x < 36; ++x) slice.mask[static_cast<std::size_t>(y * 50 + x)] = 3;
    const OccupancyFrame frame = objectFrame(slice, 3, 2.0, 64);
    EXPECT_DOUBLE_EQ(frame.side, 20);
    EXPECT_EQ(frame.centre, (Vec3{15, 20.5, 33}));
    EXPECT_THROW(objectFrame(slice, 4, 2.0, 64), DataError);
}

TEST(SurfaceOfSolid, IsFilledAgain) {
    const auto solid = occupancyInFrame(ball({64, 64, 64}, {30, 33, 31}, 14), cropFrame({64, 64, 64}, 64));
    const auto surface = surfaceOf(solid, 64);
    EXPECT_LT(count(surface), count(solid) / 2);
    EXPECT_EQ(filledSurface(surface, 64), solid);
    // An object that the cube cuts: its surface has no cap, but its inside is small beside the rest.
    const auto cut = occupancyInFrame(ball({64, 64, 64}, {2, 33, 31}, 14), cropFrame({64, 64, 64}, 64));
    EXPECT_EQ(filledSurface(surfaceOf(cut, 64), 64), cut);
}

TEST(PlacedFrame, ReturnsToTheVoxelsItCameFrom) {
    const Index3 size{64, 70, 66};
    const OccupancyFrame frame = cropFrame(size, 64);
    std::vector<float> values(64 * 64 * 64, 0);
    values[static_cast<std::size_t>((20 * 64 + 30) * 64 + 40)] = 1;
    const Geometry grid = Geometry::axisAligned(size, {3, 3, 3}, {-10, 5, 7});
    const Volume<float> placed = placeFrame(values, frame, grid.affine(), grid);
    EXPECT_FLOAT_EQ(placed(20, 33, 41), 1);
    EXPECT_FLOAT_EQ(placed(21, 33, 41), 0);
    // Another grid: half the spacing, the same place.
    const Geometry fine = Geometry::axisAligned({128, 140, 132}, {1.5, 1.5, 1.5}, {-10, 5, 7});
    const Volume<float> finer = placeFrame(values, frame, grid.affine(), fine);
    EXPECT_FLOAT_EQ(finer(40, 66, 82), 1);
    EXPECT_FLOAT_EQ(finer(41, 66, 82), 0.5);
}

TEST(ChosenSlices, SpreadOverAxes) {
    std::vector<Sam3dObject> objects;
    for (int axis = 0; axis < 3; ++axis)
        for (std::int64_t slice = 10; slice < 20; ++slice)
            objects.push_back({0, 1, axis, slice, 100 * (axis + 1) - std::abs(slice - 14)});
    const auto one = chooseSlices(objects, 1);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].axis, 2);
    EXPECT_EQ(one[0].slice, 14);
    const auto five = chooseSlices(objects, 5);
    EXPECT_EQ(five.size(), 5U);
    EXPECT_EQ(std::count_if(five.begin(), five.end(), [](const auto& o) { return o.axis == 0; }), 1);
    EXPECT_TRUE(chooseSlices({}, 3).empty());
}

TEST(SlicesShowing, ASliceThatSomebodyDrewCountsAlone) {
    Volume<std::uint8_t> labels(Geometry::axisAligned({30, 30, 30}, {1, 1, 1}), std::uint8_t{0});
    for (std::int64_t y = 5; y < 15; ++y)
        for (std::int64_t x = 5; x < 15; ++x) labels(x, y, 12) = 2;
    const auto drawn = slicesShowing(LabelMap(labels.clone()), 2, {0, 1, 2}, 5);
    ASSERT_EQ(drawn.size(), 1U);
    EXPECT_EQ(drawn[0].axis, 2);
    EXPECT_EQ(drawn[0].slice, 12);
    EXPECT_EQ(drawn[0].pixels, 100);
}

TEST(SliceOnGrid, IsThePreparedSliceOnTheSameGrid) {
    const Geometry grid = Geometry::axisAligned({12, 14, 16}, {3, 3, 3}, {-5, 2, 9});
    Volume<float> image(grid);
    Volume<std::uint8_t> labels(grid, std::uint8_t{0});
    for (std::int64_t i = 0; i < image.voxelCount(); ++i) {
        image.data()[i] = static_cast<float>(i % 101);
        labels.data()[i] = i % 7 == 0 ? 1 : 0;
    }
    const Sam3dVolume prepared = turnedVolume(image, labels);
    const LabelMap map(labels.clone());
    for (int axis = 0; axis < 3; ++axis) {
        const Sam3dSlice wanted = sam3dSlice(prepared, axis, 6, PointmapRule::Exact);
        const Sam3dSlice cut = sliceOnGrid(image, map, axis, 6, grid);
        EXPECT_EQ(cut.image, wanted.image);
        EXPECT_EQ(cut.mask, wanted.mask);
        ASSERT_EQ(cut.pointmap.size(), wanted.pointmap.size());
        for (std::size_t i = 0; i < cut.pointmap.size(); ++i) {
            if (std::isnan(wanted.pointmap[i]))
                EXPECT_TRUE(std::isnan(cut.pointmap[i]));
            else
                EXPECT_NEAR(cut.pointmap[i], wanted.pointmap[i], 1e-3);
        }
    }
    EXPECT_THROW(sliceOnGrid(image, map, 2, 16, grid), UsageError);
}

}  // namespace
}  // namespace medseg
