#include "medseg/dataset/layout.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/class_list.h"

namespace medseg {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string failureOf(const DataSettings& settings) {
    return messageOf<DataError>([&] { discoverDataset(settings); });
}

LabelLayers labelsOf(const Dataset& dataset, std::size_t index = 0) {
    const Case& item = dataset.cases.at(index);
    return readCaseLabels(dataset, item, readImageHeader(item.image).geometry);
}

TEST(Layout, FindsCaseFoldersAndReadsMasksInClassOrder) {
    const TemporaryFolder folder;
    writeCt(folder.path(), "s0001");
    writeCt(folder.path(), "s0000");
    writeMask(folder.path(), "s0000", "liver", [](auto x, auto, auto) { return x < 3; });
    writeMask(folder.path(), "s0000", "spleen", [](auto x, auto, auto) { return x > 7; });
    writeTextFile(folder.path() / "s0000" / "segmentations" / "statistics.json", "{}");
    createDirectories(folder.path() / "notes");
    const Dataset dataset = discoverDataset(dataIn(folder.path()));
    ASSERT_EQ(dataset.cases.size(), 2u);
    EXPECT_EQ(dataset.cases[0].id, "s0000");
    EXPECT_EQ(dataset.labels.size(), 117u);
    const LabelLayers labels = labelsOf(dataset);
    ASSERT_EQ(labels.layers.size(), 1u);
    EXPECT_EQ(labels.layers[0].at(0, 0, 0), totalSegmentatorId("liver"));
    EXPECT_EQ(labels.layers[0].at(9, 7, 5), totalSegmentatorId("spleen"));
    EXPECT_EQ(labels.layers[0].at(5, 0, 0), 0);
    // The second case has no mask at all: every structure is empty.
    EXPECT_EQ(labelsOf(dataset, 1).layers[0].countVoxels().size(), 1u);
}

TEST(Layout, PutsOverlappingStructuresIntoFurtherLayers) {
    const TemporaryFolder folder;
    writeCt(folder.path(), "a");
    writeMask(folder.path(), "a", "liver", [](auto x, auto, auto) { return x < 6; });
    writeMask(folder.path(), "a", "heart", [](auto x, auto, auto) { return x > 4; });
    writeMask(folder.path(), "a", "aorta", [](auto x, auto y, auto) { return x == 5 && y == 0; });
    writeMask(folder.path(), "a", "spleen", [](auto x, auto, auto) { return x == 8; });
    DataSettings settings = dataIn(folder.path());
    settings.structures = {"liver", "heart", "aorta", "spleen"};
    const LabelLayers labels = labelsOf(discoverDataset(settings));
    // Merged in label order: liver; heart clashes with it; aorta clashes with both; spleen fits beside the liver.
    ASSERT_EQ(labels.layers.size(), 3u);
    EXPECT_EQ(labels.layers[0].at(5, 0, 0), 1);
    EXPECT_EQ(labels.layers[1].at(5, 0, 0), 2);
    EXPECT_EQ(labels.layers[2].at(5, 0, 0), 3);
    EXPECT_EQ(labels.layers[0].at(8, 1, 1), 4);
    EXPECT_EQ(labels.layers[1].at(8, 1, 1), 2);
}

TEST(Layout, NamesUnknownStructuresAndTheirNearest) {
    const TemporaryFolder folder;
    writeCt(folder.path(), "a");
    writeMask(folder.path(), "a", "livr", [](auto, auto, auto) { return true; });
    const Dataset dataset = discoverDataset(dataIn(folder.path()));
    EXPECT_THAT(messageOf<DataError>([&] { labelsOf(dataset); }),
                AllOf(HasSubstr("livr.nii.gz: unknown structure \"livr\""), HasSubstr("\"liver\"")));
    DataSettings settings = dataIn(folder.path());
    settings.structures = {"splen"};
    EXPECT_THAT(failureOf(settings), HasSubstr("no case has a mask of \"splen\": did you mean \"spleen\"?"));
    // A listed name is taken as it is, and other masks are left alone.
    settings.structures = {"livr"};
    EXPECT_EQ(labelsOf(discoverDataset(settings)).layers[0].at(0, 0, 0), 1);
}

TEST(Layout, RefusesMasksOnAnotherGrid) {
    const TemporaryFolder folder;
    writeCt(folder.path(), "a");
    const Geometry shifted = Geometry::axisAligned({10, 8, 6}, {2, 2, 3}, {-10, -8, 6});
    writeMask(
        folder.path(), "a", "liver", [](auto, auto, auto) { return true; }, shifted);
    const Dataset dataset = discoverDataset(dataIn(folder.path()));
    EXPECT_THAT(messageOf<DataError>([&] { labelsOf(dataset); }),
                AllOf(HasSubstr("liver.nii.gz"), HasSubstr("ct.nii.gz"), HasSubstr("origin (-10.00, -8.00, 6.00)"),
                      HasSubstr("origin (-10.00, -8.00, 5.00)")));
}

TEST(Layout, SaysWhatItLookedFor) {
    const TemporaryFolder folder;
    EXPECT_THAT(failureOf(dataIn(folder.path())),
                AllOf(HasSubstr("holds no cases"), HasSubstr("*/ct.nii.gz"), HasSubstr("imagesTr/*_0000.nii.gz")));
    EXPECT_THAT(failureOf(dataIn(folder.path() / "missing")), HasSubstr("missing: does not exist"));
    writeTextFile(folder.path() / "file", "x");
    EXPECT_THAT(failureOf(dataIn(folder.path() / "file")), HasSubstr("is not a folder"));
}

class PairLayout : public testing::Test {
  protected:
    void SetUp() override {
        createDirectories(folder.path() / "imagesTr");
        createDirectories(folder.path() / "labelsTr");
        for (const char* id : {"p2", "p1"}) {
            writeImage(folder.path() / "imagesTr" / fmt::format("{}_0000.nii.gz", id),
                       filled<std::int16_t>(smallGeometry(), [](auto, auto, auto) { return 7.0; }));
            writeImage(
                folder.path() / "labelsTr" / fmt::format("{}.nii.gz", id),
                filled<std::uint8_t>(smallGeometry(), [](auto x, auto, auto) { return static_cast<double>(x % 4); }));
        }
    }
    const TemporaryFolder folder;
};

TEST_F(PairLayout, ReadsNnUnetNamesAndSelectsStructures) {
    writeTextFile(folder.path() / "dataset.json",
                  R"({"labels": {"background": 0, "liver": 1, "tumour": 3, "cyst": 2}})");
    DataSettings settings = dataIn(folder.path());
    Dataset dataset = discoverDataset(settings);
    ASSERT_EQ(dataset.cases.size(), 2u);
    EXPECT_EQ(dataset.cases[0].id, "p1");
    EXPECT_EQ(dataset.labels.nameOf(3), "tumour");
    EXPECT_EQ(labelsOf(dataset).layers[0].at(3, 0, 0), 3);
    settings.structures = {"tumour", "liver"};
    dataset = discoverDataset(settings);
    const LabelLayers labels = labelsOf(dataset);
    EXPECT_EQ(labels.layers[0].at(3, 0, 0), 1);
    EXPECT_EQ(labels.layers[0].at(1, 0, 0), 2);
    EXPECT_EQ(labels.layers[0].at(2, 0, 0), 0);
    settings.structures = {"tumor"};
    EXPECT_THAT(failureOf(settings), HasSubstr("no label \"tumor\": did you mean \"tumour\"?"));
}

TEST_F(PairLayout, ReadsTheOlderNameForm) {
    writeTextFile(folder.path() / "dataset.json", R"({"labels": {"0": "background", "1": "a", "2": "b", "3": "c"}})");
    EXPECT_EQ(discoverDataset(dataIn(folder.path())).labels.nameOf(2), "b");
}

TEST_F(PairLayout, NamesValuesThatNobodyNamed) {
    writeTextFile(folder.path() / "dataset.json", R"({"labels": {"background": 0, "liver": 1}})");
    const Dataset dataset = discoverDataset(dataIn(folder.path()));
    EXPECT_THAT(messageOf<DataError>([&] { labelsOf(dataset); }),
                AllOf(HasSubstr("p1.nii.gz"), HasSubstr("unknown label")));
}

TEST_F(PairLayout, WantsNamesFromSomewhere) {
    EXPECT_THAT(failureOf(dataIn(folder.path())), HasSubstr("the labels have no names"));
    DataSettings settings = dataIn(folder.path());
    settings.structures = {"a", "b", "c"};
    EXPECT_EQ(labelsOf(discoverDataset(settings)).layers[0].at(2, 0, 0), 2);
    writeTextFile(folder.path() / "dataset.json", "{\"labels\": 5");
    EXPECT_THAT(failureOf(settings), HasSubstr("dataset.json"));
}

TEST_F(PairLayout, ReportsAMissingLabelFile) {
    fs::remove(folder.path() / "labelsTr" / "p1.nii.gz");
    DataSettings settings = dataIn(folder.path());
    settings.structures = {"a", "b", "c"};
    const Dataset dataset = discoverDataset(settings);
    EXPECT_THAT(messageOf<DataError>([&] { labelsOf(dataset); }), HasSubstr("labelsTr/p1.nii.gz"));
}

}  // namespace
}  // namespace medseg
