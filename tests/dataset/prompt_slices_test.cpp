#include "medseg/dataset/prompt_slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t kSize = 8;

/// A slice whose labels are a square of `label` at (2..4, 3..6), 0 = none.
void writeSlice(const fs::path& folder, const std::string& name, std::uint8_t label) {
    std::vector<std::uint8_t> labels(kSize * kSize, 0);
    for (std::int64_t y = 3; y <= 6; ++y)
        for (std::int64_t x = 2; x <= 4; ++x) labels[static_cast<std::size_t>(y * kSize + x)] = label;
    std::vector<double> image(kSize * kSize * 3);
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<double>(i) / 255;
    createDirectories(folder / "imgs");
    createDirectories(folder / "gts");
    writeNpy(folder / "imgs" / (name + ".npy"), NpyArray::of({kSize, kSize, 3}, image.data()));
    writeNpy(folder / "gts" / (name + ".npy"), NpyArray::of({kSize, kSize}, labels.data()));
}

TEST(PromptSlices, ReadsWhatThePreparationWrites) {
    const TemporaryFolder work;
    writeSlice(work.path() / "npy", "CT_Abd_2-000", 5);
    writeSlice(work.path() / "npy", "CT_Abd_1-010", 3);
    writeSlice(work.path() / "npy", "CT_Abd_1-009", 0);
    EXPECT_TRUE(PromptSliceFolder::isAt(work.path()));
    const PromptSliceFolder folder(work.path());
    ASSERT_EQ(folder.slices().size(), 2U) << "the one without labels is left out";
    EXPECT_EQ(folder.slices()[0].caseId, "CT_Abd_1");
    EXPECT_EQ(folder.slices()[0].number, 10);
    EXPECT_EQ(folder.slices()[0].pixels.at(3), 12);
    const PromptTarget target = folder.target(folder.readLabels(0), 3);
    EXPECT_THAT(target.box, ElementsAre(2, 3, 4, 6));
    EXPECT_EQ(std::count(target.mask.begin(), target.mask.end(), 1), 12);
    const auto image = folder.readImage(0);
    ASSERT_EQ(image.size(), 3U * kSize * kSize);
    EXPECT_FLOAT_EQ(image[1], 3.0F / 255) << "second pixel of the first channel";
    EXPECT_FLOAT_EQ(image[kSize * kSize], 1.0F / 255) << "first pixel of the second channel";
}

TEST(PromptSlices, JitterOnlyGrowsBoxesWithinTheImage) {
    Random random(4);
    std::set<double> lefts;
    for (int i = 0; i < 200; ++i) {
        std::array<double, 4> box{2, 3, 4, 6};
        jitterBox(box, 3, kSize, kSize, random);
        lefts.insert(box[0]);
        EXPECT_GE(box[0], 0);
        EXPECT_LE(box[0], 2);
        EXPECT_GE(box[2], 4);
        EXPECT_LE(box[2], 7);
        EXPECT_GE(box[1], 0);
        EXPECT_LE(box[3], kSize);
    }
    EXPECT_EQ(lefts.size(), 3U) << "0, 1 and 2";
}

TEST(PromptSlices, SplitsByCaseOrSlice) {
    const TemporaryFolder work;
    for (int i = 0; i < 9; ++i) writeSlice(work.path(), "A-00" + std::to_string(i), 1);
    DataSettings settings;
    settings.holdOutEvery = 3;
    const PromptSliceSplit bySlice = splitPromptSlices(PromptSliceFolder(work.path()), settings, 1);
    EXPECT_TRUE(bySlice.bySlice) << "a single case";
    EXPECT_THAT(bySlice.validation, ElementsAre(1, 4, 7));
    EXPECT_EQ(bySlice.training.size(), 6U);
    writeSlice(work.path(), "B-000", 1);
    settings.validationCases = {"B"};
    const PromptSliceSplit byCase = splitPromptSlices(PromptSliceFolder(work.path()), settings, 1);
    EXPECT_FALSE(byCase.bySlice);
    EXPECT_THAT(byCase.validation, ElementsAre(9));
}

TEST(PromptSlices, DamagedFoldersAreRefused) {
    const TemporaryFolder work;
    EXPECT_THROW(PromptSliceFolder{work.path()}, DataError);
    writeSlice(work.path(), "A-000", 1);
    fs::remove(work.path() / "imgs" / "A-000.npy");
    EXPECT_THROW(PromptSliceFolder{work.path()}, DataError);
    writeSlice(work.path(), "A-000", 0);
    EXPECT_THROW(PromptSliceFolder{work.path()}, DataError) << "nothing is labelled";
}

}  // namespace
}  // namespace medseg
