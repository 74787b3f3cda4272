#include "medseg/imaging/lung_mask.h"

#include <gtest/gtest.h>

namespace medseg {
namespace {

/// A body in air with two ellipsoids of lung density, one with a vessel, and bowel gas.
Volume<float> torso() {
    const Geometry geometry = Geometry::axisAligned({60, 50, 40}, {5, 5, 5});
    Volume<float> image(geometry, -1000.0F);
    const auto inside = [](double x, double y, double z, double cx, double cy, double cz, double rx, double ry,
                           double rz) {
        const double a = (x - cx) / rx, b = (y - cy) / ry, c = (z - cz) / rz;
        return a * a + b * b + c * c <= 1;
    };
    for (std::int64_t z = 0; z < 40; ++z)
        for (std::int64_t y = 0; y < 50; ++y)
            for (std::int64_t x = 0; x < 60; ++x) {
                float& value = image(x, y, z);
                if (inside(x, y, 0, 30, 25, 0, 27, 22, 1)) value = 40;
                if (inside(x, y, z, 17, 25, 20, 8, 12, 14)) value = -850;
                if (inside(x, y, z, 43, 25, 20, 8, 12, 14)) value = -800;
                if (x == 17 && y == 25) value = 50;                     // a vessel
                if (inside(x, y, z, 30, 25, 4, 2, 2, 2)) value = -950;  // gas
            }
    return image;
}

TEST(LungMask, TwoLungsWithoutOutsideAirAndGas) {
    const Volume<std::uint8_t> lungs = segmentLungs(torso());
    EXPECT_EQ(lungs(43, 25, 20), 1) << "world x grows to the right";
    EXPECT_EQ(lungs(18, 25, 20), 2);
    EXPECT_EQ(lungs(17, 25, 20), 2) << "vessels belong to the lung";
    EXPECT_EQ(lungs(0, 0, 20), 0) << "air around the body";
    EXPECT_EQ(lungs(30, 25, 4), 0) << "too small to be a lung";
    EXPECT_EQ(lungs(30, 25, 20), 0);
}

TEST(LungMask, NothingWithoutAir) {
    const Volume<std::uint8_t> lungs = segmentLungs(Volume<float>(Geometry::axisAligned({8, 8, 8}, {2, 2, 2}), 40.0F));
    for (const std::uint8_t value : lungs.voxels()) EXPECT_EQ(value, 0);
}

}  // namespace
}  // namespace medseg
