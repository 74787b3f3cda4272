#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/report/slice_view.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;

/// The same 40 x 30 x 20 mm box stored in two ways: RAS, and with permuted and reversed axes.
Geometry rasGrid() {
    return Geometry::axisAligned({40, 30, 20}, {1, 1, 1}, {-20, -15, -10});
}
Geometry permutedGrid() {
    // Array axes point to inferior, right and posterior.
    return Geometry({20, 40, 30}, {{{0, 1, 0, -20}, {0, 0, -1, 14}, {-1, 0, 0, 9}, {0, 0, 0, 1}}});
}

/// Where in the patient the corner and centre voxels of a picture lie.
Vec3 worldAt(const Geometry& geometry, const SliceView2D& view, std::int64_t slice, std::int64_t column,
             std::int64_t row) {
    const Index3 voxel = view.voxelAt(slice, column, row);
    return geometry.voxelToWorld(
        {static_cast<double>(voxel[0]), static_cast<double>(voxel[1]), static_cast<double>(voxel[2])});
}

TEST(SliceView2D, ShowsThePatientInRadiologicalConvention) {
    for (const Geometry& geometry : {rasGrid(), permutedGrid()}) {
        const SliceView2D axial(geometry, ViewPlane::Axial);
        EXPECT_EQ(axial.columns(), 40);
        EXPECT_EQ(axial.rows(), 30);
        EXPECT_EQ(axial.slices(), 20);
        // World x grows to the patient's right, which belongs on the left of the picture.
        EXPECT_GT(worldAt(geometry, axial, 0, 0, 0)[0], worldAt(geometry, axial, 0, 39, 0)[0]) << geometry.describe();
        EXPECT_GT(worldAt(geometry, axial, 0, 0, 0)[1], worldAt(geometry, axial, 0, 0, 29)[1]);

        const SliceView2D coronal(geometry, ViewPlane::Coronal);
        EXPECT_EQ(coronal.rows(), 20);
        EXPECT_GT(worldAt(geometry, coronal, 3, 0, 0)[0], worldAt(geometry, coronal, 3, 39, 0)[0]);
        EXPECT_GT(worldAt(geometry, coronal, 3, 0, 0)[2], worldAt(geometry, coronal, 3, 0, 19)[2]);
        EXPECT_DOUBLE_EQ(worldAt(geometry, coronal, 3, 5, 5)[1], coronal.slicePosition(3));

        const SliceView2D sagittal(geometry, ViewPlane::Sagittal);
        EXPECT_GT(worldAt(geometry, sagittal, 7, 0, 0)[1], worldAt(geometry, sagittal, 7, 29, 0)[1]);
        EXPECT_GT(worldAt(geometry, sagittal, 7, 0, 0)[2], worldAt(geometry, sagittal, 7, 0, 19)[2]);
        EXPECT_DOUBLE_EQ(worldAt(geometry, sagittal, 7, 5, 5)[0], sagittal.slicePosition(7));
    }
}

TEST(SliceView2D, KnowsItsSizeInMillimetres) {
    const SliceView2D coronal(Geometry::axisAligned({10, 20, 30}, {0.5, 2, 4}), ViewPlane::Coronal);
    EXPECT_DOUBLE_EQ(coronal.widthMm(), 5);
    EXPECT_DOUBLE_EQ(coronal.heightMm(), 120);
}

TEST(SliceView2D, ExtractsTheVoxelsItNames) {
    Volume<float> volume(permutedGrid());
    for (std::int64_t i = 0; i < volume.voxelCount(); ++i) volume.data()[i] = static_cast<float>(i);
    for (const ViewPlane plane : {ViewPlane::Axial, ViewPlane::Coronal, ViewPlane::Sagittal}) {
        const SliceView2D view(volume.geometry(), plane);
        const Plane2D<float> picture = extractPlane(volume, view, 2);
        const Index3 voxel = view.voxelAt(2, 4, 6);
        EXPECT_EQ(picture.at(4, 6), volume(voxel[0], voxel[1], voxel[2]));
    }
}

LabelMap labelsInSlices(const std::vector<std::pair<std::int64_t, int>>& marks) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({8, 8, 10}, {1, 1, 1}), 0);
    std::int64_t x = 0;
    for (const auto& [z, label] : marks) volume(x++ % 8, 0, z) = static_cast<std::uint8_t>(label);
    return LabelMap(std::move(volume));
}

TEST(Slices, TheMostInformativeOneHasMostStructures) {
    const LabelMap labels = labelsInSlices({{2, 1}, {2, 1}, {2, 1}, {6, 1}, {6, 2}});
    EXPECT_EQ(mostInformativeSlice(labels, {labels.geometry(), ViewPlane::Axial}), 6);
    const LabelMap none = labelsInSlices({});
    EXPECT_EQ(mostInformativeSlice(none, {none.geometry(), ViewPlane::Axial}), 5);
}

TEST(Slices, SpreadOverTheLabelledPart) {
    const LabelMap labels = labelsInSlices({{2, 1}, {7, 1}});
    const SliceView2D view(labels.geometry(), ViewPlane::Axial);
    EXPECT_THAT(spreadSlices(&labels, view, 3), ElementsAre(3, 5, 7));
    EXPECT_THAT(spreadSlices(&labels, view, 100), ElementsAre(2, 3, 4, 5, 6, 7));
    EXPECT_THAT(spreadSlices(nullptr, view, 5), ElementsAre(1, 3, 5, 7, 9));
}

}  // namespace
}  // namespace medseg
