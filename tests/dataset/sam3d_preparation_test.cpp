#include "medseg/dataset/sam3d_preparation.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/form_cases.h"
#include "medseg/io/image_file.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using testing::HasSubstr;

/// One case of 4x5x6 voxels of 2 mm with a block of label 1.
class Sam3dCase : public testing::Test {
  protected:
    void SetUp() override {
        createDirectories(root_ / "s1");
        image_ = Volume<float>(grid_, 5.0F);
        labels_ = Volume<std::uint8_t>(grid_, 0);
        for (int z = 2; z < 4; ++z)
            for (int y = 1; y < 3; ++y) labels_(1, y, z) = 1;
        settings_.classes = 2;
        settings_.spacing = 0;
    }

    void write() const {
        writeImage(root_ / "s1/s1-image.nii.gz", AnyVolume(image_.clone()));
        writeLabelMap(root_ / "s1/s1-label.nii.gz", LabelMap(labels_.clone()));
    }
    CasePipelineResult prepare() const {
        write();
        std::vector<CaseFailure> problems;
        const auto cases = sam3dCases(findMarkedPairs(root_, problems));
        return runCasePipeline(sam3dForm(settings_, root_ / "out"), cases, root_ / "out");
    }
    std::string failure() const {
        const CasePipelineResult result = prepare();
        return result.failures.empty() ? "" : result.failures.front().message;
    }

    TemporaryFolder folder_;
    fs::path root_ = folder_.path();
    Geometry grid_ = Geometry::axisAligned({4, 5, 6}, {2, 2, 2}, {10, 20, 30});
    Volume<float> image_;
    Volume<std::uint8_t> labels_;
    Sam3dSettings settings_;
};

TEST_F(Sam3dCase, WritesPointsWhereTheVoxelsLie) {
    settings_.axes = {1};
    ASSERT_EQ(failure(), "");
    const NpzFile slice(root_ / "out/s1.nii_axis1_slice0002.npz");
    const NpyArray points = slice.read("pointmap");
    EXPECT_EQ(points.shape, (std::vector<std::int64_t>{3, 4, 6}));
    // Voxel (1, 2, 3): row i = 1, column k = 3.
    const float* values = points.as<float>();
    EXPECT_EQ(values[0 * 24 + 9], 12);
    EXPECT_EQ(values[1 * 24 + 9], 24);
    EXPECT_EQ(values[2 * 24 + 9], 36);
    EXPECT_TRUE(std::isnan(values[0]));
}

TEST_F(Sam3dCase, WarnsOfAbsentClass) {
    const CasePipelineResult result = prepare();
    ASSERT_EQ(result.records.size(), 1U);
    EXPECT_THAT(result.records.front().warning, HasSubstr("label 2 does not occur"));
    const NpyArray distances = readNpy(root_ / "out/s1.nii_sdf.npy");
    EXPECT_EQ(distances.shape, (std::vector<std::int64_t>{2, 4, 5, 6}));
    EXPECT_EQ(distances.as<float>()[120], kSam3dNoSurface);
    EXPECT_EQ(distances.as<float>()[(1 * 5 + 2) * 6 + 3], -1);
}

TEST_F(Sam3dCase, RefusesBadInput) {
    image_(1, 2, 3) = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THAT(failure(), HasSubstr("voxel (1, 2, 3) is nan"));
    image_(1, 2, 3) = 0;
    labels_(0, 0, 0) = 9;
    EXPECT_THAT(failure(), HasSubstr("holds label 9, expected are 1 to 2"));
    std::fill_n(labels_.data(), labels_.voxelCount(), std::uint8_t{0});
    EXPECT_THAT(failure(), HasSubstr("holds no label"));
}

TEST(Sam3dSettings, RefusesBadValues) {
    EXPECT_THROW(sam3dAxisFromName("axial"), UsageError);
    EXPECT_EQ(sam3dAxisFromName("j"), 1);
    Sam3dSettings settings;
    settings.axes = {0, 0};
    EXPECT_THROW(checkSam3dSettings(settings), UsageError);
    settings.axes = {3};
    EXPECT_THROW(checkSam3dSettings(settings), UsageError);
    settings = {};
    settings.spacing = -1;
    EXPECT_THROW(checkSam3dSettings(settings), UsageError);
}

TEST(Sam3dGrid, KeepsTheCentre) {
    const Geometry grid = isotropicGrid(Geometry::axisAligned({10, 10, 10}, {1, 1, 3}), 2);
    EXPECT_EQ(grid.size(), (Index3{5, 5, 15}));
    EXPECT_THAT(grid.voxelToWorld({2, 2, 7}), testing::Pointwise(testing::DoubleEq(), {4.5, 4.5, 13.5}));
}

}  // namespace
}  // namespace medseg
