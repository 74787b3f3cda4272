#include "medseg/imaging/crop.h"

#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

Volume<float> numbered() {
    // A flipped, shifted grid: the crop must keep world points, not just the order.
    Volume<float> volume(Geometry({5, 4, 3}, {{{-2, 0, 0, 10}, {0, 3, 0, -4}, {0, 0, 1.5, 7}, {0, 0, 0, 1}}}));
    for (std::int64_t i = 0; i < volume.voxelCount(); ++i) volume.data()[i] = static_cast<float>(i);
    return volume;
}

TEST(Crop, KeepsValuesAndWorldPoints) {
    const auto volume = numbered();
    const auto part = crop(volume, {{1, 2, 1}, {4, 4, 2}});
    ASSERT_EQ(part.size(), (Index3{3, 2, 1}));
    for (std::int64_t y = 0; y < 2; ++y)
        for (std::int64_t x = 0; x < 3; ++x) {
            EXPECT_EQ(part(x, y, 0), volume(x + 1, y + 2, 1));
            const auto world = part.geometry().voxelToWorld({double(x), double(y), 0});
            EXPECT_EQ(world, volume.geometry().voxelToWorld({double(x + 1), double(y + 2), 1}));
        }
}

TEST(Crop, BoxOfAMaskIsTight) {
    Volume<std::uint8_t> mask(Geometry::axisAligned({40, 7, 6}, {1, 1, 1}), std::uint8_t{0});
    EXPECT_TRUE(boxOfMask(mask).empty());
    mask(39, 2, 4) = 3;
    mask(5, 1, 4) = 1;
    const VoxelBox box = boxOfMask(mask);
    EXPECT_EQ(box.low, (Index3{5, 1, 4}));
    EXPECT_EQ(box.high, (Index3{40, 3, 5}));
    EXPECT_EQ(crop(mask, box)(34, 1, 0), 3);
}

TEST(Crop, BoxAboveIsTightAndGrowsToTheBorder) {
    Volume<float> volume(Geometry::axisAligned({8, 7, 6}, {1, 1, 1}), 0.0F);
    EXPECT_TRUE(boxAbove(volume, 0).empty());
    volume(3, 2, 4) = 0.5F;
    volume(5, 1, 4) = 0.6F;
    volume(7, 6, 5) = 0.1F;  // not above
    const VoxelBox box = boxAbove(volume, 0.1F);
    EXPECT_EQ(box.low, (Index3{3, 1, 4}));
    EXPECT_EQ(box.high, (Index3{6, 3, 5}));
    const VoxelBox grown = box.grown({2, 2, 2}, volume.size());
    EXPECT_EQ(grown.low, (Index3{1, 0, 2}));
    EXPECT_EQ(grown.high, (Index3{8, 5, 6}));
}

TEST(Crop, RefusesBoxesThatLeaveTheVolume) {
    const auto volume = numbered();
    EXPECT_THROW(crop(volume, {{0, 0, 0}, {6, 1, 1}}), UsageError);
    EXPECT_THROW(crop(volume, {{-1, 0, 0}, {2, 1, 1}}), UsageError);
    EXPECT_THROW(crop(volume, {{2, 0, 0}, {2, 1, 1}}), UsageError);
}

}  // namespace
}  // namespace medseg
