#include <gtest/gtest.h>

#include "medseg/volume/geometry.h"

namespace medseg {
namespace {

TEST(Geometry, OrientationNamesWhereAxesPoint) {
    EXPECT_EQ(Geometry::axisAligned({2, 3, 4}, {1, 1, 1}).orientation(), "RAS");
    Affine lps = identityAffine();
    lps[0][0] = lps[1][1] = -1;
    EXPECT_EQ(Geometry({2, 2, 2}, lps).orientation(), "LPS");
    const Affine permuted{{{0, 0, 2, 5}, {-3, 0, 0, 6}, {0, 4, 0, 7}, {0, 0, 0, 1}}};
    const Geometry geometry({2, 3, 4}, permuted);
    EXPECT_EQ(geometry.orientation(), "PSR");
    EXPECT_EQ(geometry.spacing(), (Vec3{3, 4, 2}));
    EXPECT_DOUBLE_EQ(geometry.voxelVolume(), 24);
}

TEST(Geometry, WorldToVoxelInvertsVoxelToWorld) {
    const Affine sheared{{{1.5, 0.2, 0, -10}, {0, 1.4, 0.3, 20}, {0.1, 0, -2, 30}, {0, 0, 0, 1}}};
    const Geometry geometry({5, 6, 7}, sheared);
    const Vec3 voxel{1.25, -3, 4.5};
    const Vec3 back = geometry.worldToVoxel(geometry.voxelToWorld(voxel));
    for (int axis = 0; axis < 3; ++axis) EXPECT_NEAR(back[axis], voxel[axis], 1e-12);
}

}  // namespace
}  // namespace medseg
