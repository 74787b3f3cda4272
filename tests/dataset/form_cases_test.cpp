#include "medseg/dataset/form_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/form_settings.h"

namespace medseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FormCasesTest : public testing::Test {
  protected:
    void touch(const std::string& name) const {
        createDirectories((root_ / name).parent_path());
        writeTextFile(root_ / name, "x");
    }
    std::vector<std::string> ids(const FormCases& found) const {
        std::vector<std::string> names;
        for (const ImageLabelPair& pair : found.pairs) names.push_back(pair.id);
        return names;
    }

    TemporaryFolder folder_;
    fs::path root_ = folder_.path();
};

TEST_F(FormCasesTest, FindsMaskFoldersAndWhatIsMissing) {
    for (const char* id : {"b", "a"}) writeMask(root_, id, "liver", [](auto, auto, auto) { return true; });
    writeCt(root_, "a");
    writeCt(root_, "c");
    fs::remove_all(root_ / "c/segmentations");
    const FormCases found = findFormCases(dataIn(root_));
    EXPECT_THAT(ids(found), ElementsAre("a"));
    EXPECT_EQ(found.pairs[0].label, root_ / "a/segmentations");
    EXPECT_EQ(found.reader.structures().size(), 117U);
    EXPECT_THAT(found.lonelyImages, ElementsAre(root_ / "c/ct.nii.gz"));
    ASSERT_EQ(found.problems.size(), 1U);
    EXPECT_THAT(found.problems[0].message, HasSubstr("b/segmentations: has no image"));
}

TEST_F(FormCasesTest, FindsMarkedFilesAndPairs) {
    for (const char* name :
         {"x-image.nrrd", "x-label.nrrd", "sub/y-image.nii.gz", "sub/y-label.nii.gz", "z-image.mha", "w-label.nii"})
        touch(name);
    const FormCases found = findFormCases(dataIn(root_));
    EXPECT_THAT(ids(found), ElementsAre("x", "y"));
    EXPECT_FALSE(found.reader.readsMasks());
    ASSERT_EQ(found.problems.size(), 2U);
    EXPECT_THAT(found.problems[0].message, HasSubstr("w-label.nii: has no image w-image.nii"));
    EXPECT_THAT(found.problems[1].message, HasSubstr("z-image.mha: has no label z-label.mha"));
    const auto cases = sam3dCases(found.pairs);
    EXPECT_EQ(cases[0].id, "x.nrrd");
    EXPECT_EQ(cases[1].id, "y.nii");
}

TEST_F(FormCasesTest, TakesTheEndingFromDatasetJson) {
    touch("imagesTr/a_0000.mha");
    touch("labelsTr/a.mha");
    touch("labelsTr/b.mha");
    writeTextFile(root_ / "dataset.json", R"({"file_ending": ".mha"})");
    const FormCases found = findFormCases(dataIn(root_));
    EXPECT_THAT(ids(found), ElementsAre("a"));
    EXPECT_THAT(found.problems.at(0).message, HasSubstr("b.mha: has no image *_0000.mha"));
    DataSettings chosen = dataIn(root_);
    chosen.imageSuffix = "_0001.nii.gz";
    EXPECT_THROW(findFormCases(chosen), DataError);
}

TEST_F(FormCasesTest, RefusesFoldersWithoutCases) {
    EXPECT_THAT(messageOf<DataError>([&] { findFormCases(dataIn(root_)); }), HasSubstr("holds no cases: looked for"));
    EXPECT_THAT(messageOf<DataError>([&] { findFormCases(dataIn(root_ / "no")); }), HasSubstr("is not a folder"));
    EXPECT_THROW(findFormCases(DataSettings{}), UsageError);
}

TEST_F(FormCasesTest, MergesMasksInOrderAndCountsOverlaps) {
    writeCt(root_, "a");
    writeMask(root_, "a", "liver", [](auto x, auto, auto) { return x < 4; });
    writeMask(root_, "a", "spleen", [](auto x, auto y, auto) { return x >= 3 && y == 0; });
    DataSettings data = dataIn(root_);
    for (const bool liverFirst : {true, false}) {
        data.structures =
            liverFirst ? std::vector<std::string>{"liver", "spleen"} : std::vector<std::string>{"spleen", "liver"};
        const FormCases found = findFormCases(data);
        const auto& pair = found.pairs.at(0);
        const CaseLabels labels = found.reader.read(pair.label, smallGeometry(), pair.image);
        EXPECT_EQ(labels.overlapping, 6);      // x 3, y 0, six slices
        EXPECT_EQ(labels.map.at(3, 0, 2), 2);  // the later structure
        EXPECT_EQ(labels.map.at(0, 0, 0), liverFirst ? 1 : 2);
        EXPECT_EQ(labels.map.at(9, 1, 0), 0);
    }
    writeMask(
        root_, "a", "spleen", [](auto, auto, auto) { return true; }, smallGeometry({10, 8, 5}));
    const FormCases found = findFormCases(data);
    EXPECT_THAT(
        messageOf<DataError>([&] { found.reader.read(found.pairs[0].label, smallGeometry(), found.pairs[0].image); }),
        HasSubstr("spleen.nii.gz"));
}

TEST(FormSettings, ScriptsValuesDependOnFormAndLabels) {
    const LabelReader files, masks(LabelTable::fromNames({"liver", "spleen"}), true);
    PrepareMedsamSettings medsam;
    EXPECT_THAT(medsamSettingsFrom("medsam", medsam, files).labels.removeLabels, ElementsAre(12));
    EXPECT_THAT(medsamSettingsFrom("medsam", medsam, masks).labels.removeLabels, testing::IsEmpty());
    EXPECT_EQ(medsamSettingsFrom("medsam", medsam, files).labels.dust3d, 1000);
    EXPECT_EQ(medsamSettingsFrom("litemedsam", medsam, files).labels.dust2d, 10);
    EXPECT_EQ(medsamSettingsFrom("medsam2", medsam, files).imageSize, (std::array<int, 2>{256, 256}));
    medsam.removeLabels = {0};
    medsam.dust3d = 5;
    medsam.tumorLabel = 3;
    const MedsamSettings changed = medsamSettingsFrom("litemedsam", medsam, files);
    EXPECT_THAT(changed.labels.removeLabels, testing::IsEmpty());
    EXPECT_EQ(changed.labels.dust3d, 5);
    EXPECT_EQ(changed.labels.tumorLabel, 3);
    medsam.percentiles = {99, 1};
    EXPECT_THROW(medsamSettingsFrom("medsam", medsam, files), UsageError);

    PrepareSam3dSettings sam3d;
    EXPECT_EQ(sam3dSettingsFrom(sam3d, files).classes, 5);
    EXPECT_EQ(sam3dSettingsFrom(sam3d, masks).classes, 2);
    sam3d.axes = {1, 1};
    EXPECT_THROW(sam3dSettingsFrom(sam3d, files), UsageError);
}

}  // namespace
}  // namespace medseg
