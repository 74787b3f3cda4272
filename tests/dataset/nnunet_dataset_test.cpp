#include "medseg/dataset/nnunet_dataset.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

using testing::HasSubstr;

/// Two cases of 4x3x2 voxels, two channels, label 1 in the first row.
class NnunetDataset : public testing::Test {
  protected:
    void SetUp() override {
        createDirectories(root_ / "imagesTr");
        createDirectories(root_ / "labelsTr");
        description_.channels = {"CT", "PET"};
        description_.labels = {{"background", {0}}, {"liver", {1}}};
        description_.numTraining = 2;
        writeNnunetDescription(root_ / "dataset.json", description_);
        for (const char* id : {"a", "b"}) {
            for (int channel = 0; channel < 2; ++channel) writeChannel(id, channel);
            Volume<std::uint8_t> labels(grid_, 0);
            for (int x = 0; x < 4; ++x) labels(x, 0, 0) = 1;
            writeLabelMap(root_ / "labelsTr" / (std::string(id) + ".nii.gz"), LabelMap(std::move(labels)));
        }
    }

    fs::path channelFile(const std::string& id, int channel) const {
        return root_ / "imagesTr" / (id + "_000" + std::to_string(channel) + ".nii.gz");
    }
    /// 0 in the last slice, elsewhere x + 10 channel + 1.
    void writeChannel(const std::string& id, int channel) const {
        Volume<float> image(grid_, 0.0F);
        for (int y = 0; y < 3; ++y)
            for (int x = 0; x < 4; ++x) image(x, y, 0) = static_cast<float>(x + 10 * channel + 1);
        writeImage(channelFile(id, channel), AnyVolume(std::move(image)));
    }
    std::vector<std::string> faults() const { return checkNnunetDataset(root_); }

    TemporaryFolder folder_;
    fs::path root_ = folder_.path();
    Geometry grid_ = Geometry::axisAligned({4, 3, 2}, {1, 2, 3});
    NnunetDescription description_;
};

TEST_F(NnunetDataset, AcceptsASoundDataset) {
    EXPECT_THAT(faults(), testing::IsEmpty());
}

TEST_F(NnunetDataset, NamesEveryFault) {
    fs::remove(channelFile("a", 1));
    Volume<float> image(grid_, 1.0F);
    image(1, 1, 1) = std::numeric_limits<float>::quiet_NaN();
    writeImage(channelFile("b", 0), AnyVolume(std::move(image)));
    Volume<std::uint8_t> labels(Geometry::axisAligned({4, 3, 1}, {1, 2, 3}), 7);
    writeLabelMap(root_ / "labelsTr/b.nii.gz", LabelMap(std::move(labels)));
    const auto found = faults();
    ASSERT_EQ(found.size(), 4U) << testing::PrintToString(found);
    EXPECT_THAT(found[0], HasSubstr("a_0001.nii.gz: is missing"));
    EXPECT_THAT(found[1], HasSubstr("b_0000.nii.gz: NaN in 1 voxels"));
    EXPECT_THAT(found[2], HasSubstr("labelsTr/b.nii.gz"));
    EXPECT_THAT(found[3], HasSubstr("label 7 in 12 voxels"));
}

TEST_F(NnunetDataset, ChecksDescription) {
    description_.labels.push_back({"spleen", {3}});
    description_.numTraining = 5;
    writeNnunetDescription(root_ / "dataset.json", description_);
    const auto found = faults();
    ASSERT_EQ(found.size(), 2U);
    EXPECT_THAT(found[0], HasSubstr("2 is missing"));
    EXPECT_THAT(found[1], HasSubstr("numTraining is 5"));
    writeTextFile(root_ / "dataset.json", R"({"channel_names": {"0": "CT"}, "labels": {"background": 0}})");
    EXPECT_THROW(faults(), DataError);
    writeTextFile(root_ / "dataset.json", "[");
    EXPECT_THROW(faults(), DataError);
}

TEST_F(NnunetDataset, ReadsRegions) {
    description_.labels = {{"background", {0}}, {"whole", {1, 2}}, {"core", {2}}};
    description_.regionsClassOrder = {1, 2};
    writeNnunetDescription(root_ / "dataset.json", description_);
    const NnunetDescription read = readNnunetDescription(root_ / "dataset.json");
    EXPECT_TRUE(read.hasRegions());
    EXPECT_EQ(read.labels.at(1).values, (std::vector<int>{1, 2}));
    EXPECT_EQ(read.regionsClassOrder, (std::vector<int>{1, 2}));
    EXPECT_EQ(read.channels, description_.channels);
}

TEST_F(NnunetDataset, Fingerprint) {
    const auto json = toJson(nnunetFingerprint(root_));
    EXPECT_EQ(json.at("spacings").dump(), "[[3.0,2.0,1.0],[3.0,2.0,1.0]]");
    EXPECT_EQ(json.at("shapes_after_crop").dump(), "[[1,3,4],[1,3,4]]");
    EXPECT_EQ(json.at("median_relative_size_after_cropping"), 0.5);
    // Foreground of channel 0 over both cases: 1 1 2 2 3 3 4 4; numpy gives these.
    const auto& first = json.at("foreground_intensities_per_channel").at("0");
    EXPECT_EQ(first.at("max"), 4);
    EXPECT_EQ(first.at("min"), 1);
    EXPECT_EQ(first.at("mean"), 2.5);
    EXPECT_EQ(first.at("median"), 2.5);
    EXPECT_NEAR(first.at("std"), std::sqrt(1.25), 1e-12);
    EXPECT_NEAR(first.at("percentile_00_5"), 1, 1e-12);
    EXPECT_NEAR(json.at("foreground_intensities_per_channel").at("1").at("mean"), 12.5, 1e-12);
}

}  // namespace
}  // namespace medseg
