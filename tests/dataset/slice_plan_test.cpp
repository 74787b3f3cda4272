#include "medseg/dataset/slice_plan.h"

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/volume/volume.h"

namespace medseg {
namespace {

/// World position coded into one number: the same place has the same value in every orientation.
std::vector<double> slicesOf(const Geometry& geometry, SliceAxis axis, std::int64_t k) {
    Volume<double> volume(geometry);
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const Vec3 world = geometry.voxelToWorld({double(x), double(y), double(z)});
                volume(x, y, z) = world[0] + 100 * world[1] + 10000 * world[2];
            }
    const SlicePlan plan = SlicePlan::of(geometry, axis);
    std::vector<double> plane(static_cast<std::size_t>(plan.height * plan.width));
    plan.gather(volume.data(), k, plane.data());
    return plane;
}

/// 4 x 3 x 2 voxels of 1 x 2 x 5 mm along R, A, S, stored in RAS order.
Geometry rasGeometry() {
    return Geometry::axisAligned({4, 3, 2}, {1, 2, 5}, {1, 1, 1});
}

/// The same places with the axes stored as S, L, P.
Geometry slpGeometry() {
    Affine affine{};
    affine[0] = {0, -1, 0, 4};
    affine[1] = {0, 0, -2, 5};
    affine[2] = {5, 0, 0, 1};
    affine[3] = {0, 0, 0, 1};
    return {{2, 4, 3}, affine};
}

TEST(SlicePlan, AxialRowsRunToAnteriorAndColumnsToTheRight) {
    const auto plane = slicesOf(rasGeometry(), SliceAxis::Axial, 1);
    ASSERT_EQ(plane.size(), 12u);
    EXPECT_DOUBLE_EQ(plane[0], 1 + 100 * 1 + 10000 * 6);
    EXPECT_DOUBLE_EQ(plane[3], 4 + 100 * 1 + 10000 * 6);
    EXPECT_DOUBLE_EQ(plane[4], 1 + 100 * 3 + 10000 * 6);
}

TEST(SlicePlan, SlicesDoNotDependOnTheStoredOrientation) {
    EXPECT_EQ(slpGeometry().orientation(), "SLP");
    for (const SliceAxis axis : {SliceAxis::Axial, SliceAxis::Coronal, SliceAxis::Sagittal}) {
        const SlicePlan plan = SlicePlan::of(slpGeometry(), axis);
        EXPECT_EQ(plan.count, SlicePlan::of(rasGeometry(), axis).count);
        for (std::int64_t k = 0; k < plan.count; ++k)
            EXPECT_EQ(slicesOf(slpGeometry(), axis, k), slicesOf(rasGeometry(), axis, k)) << sliceAxisName(axis) << k;
    }
    EXPECT_DOUBLE_EQ(SlicePlan::of(slpGeometry(), SliceAxis::Coronal).sliceSpacing, 2);
    EXPECT_DOUBLE_EQ(SlicePlan::of(slpGeometry(), SliceAxis::Coronal).rowSpacing, 5);
}

TEST(SlicePlan, ScatterReversesGather) {
    const SlicePlan plan = SlicePlan::of(slpGeometry(), SliceAxis::Sagittal);
    std::vector<int> voxels(24), restored(24, -1), plane(static_cast<std::size_t>(plan.height * plan.width));
    for (int i = 0; i < 24; ++i) voxels[i] = i;
    for (std::int64_t k = 0; k < plan.count; ++k) {
        plan.gather(voxels.data(), k, plane.data());
        plan.scatter(plane.data(), k, restored.data());
    }
    EXPECT_EQ(restored, voxels);
}

TEST(SlicePlan, KnowsItsAxes) {
    EXPECT_EQ(sliceAxisFromName("coronal"), SliceAxis::Coronal);
    EXPECT_THROW(sliceAxisFromName("oblique"), UsageError);
}

}  // namespace
}  // namespace medseg
