#include "medseg/dataset/medsam_preparation.h"

#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/medsam_slices.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

Geometry grid(std::int64_t nx, std::int64_t ny, std::int64_t nz) {
    return Geometry::axisAligned({nx, ny, nz}, {0.5, 0.75, 2});
}

TEST(MedsamLabels, RemovesSplitsAndCleansInThatOrder) {
    // One row: label 2 (removed), a tumour of two parts (label 3), label 1.
    Volume<std::uint8_t> labels(grid(12, 1, 1), 0);
    const std::vector<std::uint8_t> row{2, 2, 0, 3, 3, 0, 3, 3, 3, 0, 1, 1};
    std::copy(row.begin(), row.end(), labels.data());
    MedsamLabelRules rules;
    rules.removeLabels = {2};
    rules.tumorLabel = 3;
    rules.dust3d = 3;
    rules.dust2d = 1;
    EXPECT_EQ(cleanMedsamLabels(labels, rules), 0);
    // Largest other label 1, so the parts become 1 + 1 + 1 and 2 + 1 + 1; what has fewer than three voxels goes.
    const std::vector<std::uint8_t> expected{0, 0, 0, 0, 0, 0, 4, 4, 4, 0, 0, 0};
    EXPECT_EQ(std::vector<std::uint8_t>(labels.data(), labels.data() + 12), expected);
}

TEST(MedsamLabels, TellsOfTumoursThatWrapAround) {
    Volume<std::uint8_t> labels(grid(6, 1, 1), 0);
    const std::vector<std::uint8_t> row{254, 0, 9, 0, 9, 0};
    std::copy(row.begin(), row.end(), labels.data());
    MedsamLabelRules rules;
    rules.removeLabels = {};
    rules.tumorLabel = 9;
    rules.dust3d = rules.dust2d = 0;
    EXPECT_EQ(cleanMedsamLabels(labels, rules), 2);  // 256 and 257
    EXPECT_EQ(labels.data()[2], 0);
    EXPECT_EQ(labels.data()[4], 1);
}

class MedsamCaseTest : public ::testing::Test {
  protected:
    /// Image 0..nz-1 by slice in steps of 100, label 5 in slices 1 and 3.
    void writeCase() {
        Volume<std::int16_t> image(grid(4, 3, 5), 0);
        Volume<std::uint8_t> labels(grid(4, 3, 5), 0);
        for (std::int64_t i = 0; i < image.voxelCount(); ++i) {
            image.data()[i] = static_cast<std::int16_t>(i / 12 * 100 - 200);
            labels.data()[i] = i / 12 == 1 || i / 12 == 3 ? 5 : 0;
        }
        createDirectories(folder_.path() / "images");
        createDirectories(folder_.path() / "labels");
        writeImage(image_, AnyVolume(std::move(image)));
        writeImage(label_, AnyVolume(std::move(labels)));
        settings_.labels.dust3d = 2;
        settings_.labels.dust2d = 2;
    }

    TemporaryFolder folder_;
    fs::path image_ = folder_.path() / "images" / "a_0000.nii.gz";
    fs::path label_ = folder_.path() / "labels" / "a.nii.gz";
    MedsamSettings settings_ = medsamDefaults("medsam");
};

TEST_F(MedsamCaseTest, ScalesByTheRangeOfTheWholeClippedVolume) {
    writeCase();
    const MedsamCase prepared = prepareMedsamCase(image_, label_, settings_);
    EXPECT_EQ(prepared.slices, (std::vector<std::int64_t>{1, 3}));
    EXPECT_EQ(prepared.images.size(), (Index3{4, 3, 2}));
    // -200 is clipped to -160, the largest value is 200 < 240: (v + 160) / 360 * 255, truncated.
    EXPECT_EQ(prepared.images.data()[0], 42);    // -100: 42.5
    EXPECT_EQ(prepared.images.data()[12], 184);  // 100: 184.17
    EXPECT_EQ(prepared.labels.data()[0], 5);
    EXPECT_NEAR(prepared.spacing[0], 0.5, 1e-6);
    EXPECT_NEAR(prepared.spacing[2], 2, 1e-6);
    // The kept slices start where slice 1 was.
    EXPECT_NEAR(prepared.images.geometry().voxelToWorld({0, 0, 0})[2], 2, 1e-6);
}

TEST_F(MedsamCaseTest, WarnsAndWritesNothingWhenNoLabelIsLeft) {
    writeCase();
    settings_.labels.dust3d = 1000;
    const auto cases = medsamCases({{"a", image_, label_}}, settings_);
    const CasePipelineResult result = runCasePipeline(medsamForm(settings_), cases, folder_.path() / "out");
    ASSERT_EQ(result.records.size(), 1u);
    EXPECT_NE(result.records[0].warning, "");
    EXPECT_TRUE(result.records[0].files.empty());
}

TEST_F(MedsamCaseTest, AppliesSlopeAndInterceptInDoublePrecision) {
    writeCase();
    StoredImage stored = readStoredImage(image_);
    MedsamImageRules rules;
    const MedsamImage plain(std::move(stored), rules);
    // The same values, stored doubled and shifted.
    Volume<std::int16_t> doubled(grid(4, 3, 5));
    for (std::int64_t i = 0; i < doubled.voxelCount(); ++i) doubled.data()[i] = static_cast<std::int16_t>(i / 12 * 200);
    ImageHeader header;
    header.hasScaling = true;
    header.slope = 0.5;
    header.inter = -200;
    const MedsamImage scaled(StoredImage{header, AnyVolume(std::move(doubled))}, rules);
    std::vector<std::uint8_t> a(36), b(36);
    plain.slicesToBytes({0, 1, 3}, a);
    scaled.slicesToBytes({0, 1, 3}, b);
    EXPECT_EQ(a, b);
    EXPECT_EQ(plain.scale().scaleHigh, scaled.scale().scaleHigh);
}

TEST_F(MedsamCaseTest, RefusesOtherGridsAndLargeLabels) {
    writeCase();
    Volume<std::int16_t> labels(grid(4, 3, 5), 0);
    labels.data()[7] = 300;
    writeImage(label_, AnyVolume(std::move(labels)));
    EXPECT_THROW(prepareMedsamCase(image_, label_, settings_), DataError);
    writeImage(label_, AnyVolume(Volume<std::uint8_t>(grid(4, 3, 4), 1)));
    EXPECT_THROW(prepareMedsamCase(image_, label_, settings_), DataError);
}

TEST_F(MedsamCaseTest, PairsBySuffixAlsoInOneFolder) {
    writeCase();
    fs::copy(image_, folder_.path() / "images" / "b_0000.nii.gz");
    fs::copy(label_, folder_.path() / "labels" / "c.nii.gz");
    const fs::path images = folder_.path() / "images", labels = folder_.path() / "labels";
    PairSearch found = findImageLabelPairs(images, "_0000.nii.gz", labels, ".nii.gz");
    ASSERT_EQ(found.pairs.size(), 1u);
    EXPECT_EQ(found.pairs[0].id, "a");
    EXPECT_EQ(found.lonelyImages, (std::vector<fs::path>{images / "b_0000.nii.gz"}));
    EXPECT_EQ(found.lonelyLabels, (std::vector<fs::path>{labels / "c.nii.gz"}));
    fs::copy(label_, images / "b.nii.gz");
    found = findImageLabelPairs(images, "_0000.nii.gz", images, ".nii.gz");
    ASSERT_EQ(found.pairs.size(), 1u);
    EXPECT_EQ(found.pairs[0].id, "b");
    EXPECT_THROW(findImageLabelPairs(images, "_0001.nii.gz", labels, ".nii.gz"), DataError);
    EXPECT_THROW(findImageLabelPairs(images / "none", ".nii.gz", labels, ".nii.gz"), DataError);
}

TEST_F(MedsamCaseTest, SplitsTrainingAndTestBySortedName) {
    settings_.trainCases = 2;
    const auto cases = medsamCases({{"a", "a", "a"}, {"b", "b", "b"}, {"c", "c", "c"}}, settings_);
    EXPECT_EQ(cases[0].id, "CT_Abd_a");
    EXPECT_TRUE(cases[1].parameters["train"]);
    EXPECT_FALSE(cases[2].parameters["train"]);
    settings_.trainCases = 0;
    EXPECT_TRUE(medsamCases({{"a", "a", "a"}}, settings_)[0].parameters["train"]);
}

TEST(MedsamSettings, RefusesWhatCannotBe) {
    EXPECT_THROW(medsamDefaults("sam"), UsageError);
    MedsamSettings settings = medsamDefaults("litemedsam");
    EXPECT_EQ(settings.labels.dust3d, 100);
    EXPECT_EQ(settings.labels.tumorOffset, 0);
    settings.npy = true;
    EXPECT_THROW(checkMedsamSettings(settings), UsageError);
    settings = medsamDefaults("medsam");
    settings.anatomy = "../x";
    EXPECT_THROW(checkMedsamSettings(settings), UsageError);
}

}  // namespace
}  // namespace medseg
