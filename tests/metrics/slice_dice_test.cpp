#include "medseg/metrics/slice_dice.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "medseg/base/files.h"

namespace medseg {
namespace {

LabelMap labelsOf(const std::vector<std::uint8_t>& values) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({4, 1, 3}, {1, 1, 1}));
    std::copy(values.begin(), values.end(), volume.data());
    return LabelMap(std::move(volume));
}

TEST(SliceDice, RulesOfMissingLabels) {
    const LabelMap reference = labelsOf({1, 1, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0});
    const LabelMap prediction = labelsOf({1, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0});
    const auto rows = sliceDice(reference, prediction, {1, 2, 3});
    ASSERT_EQ(rows.size(), 4U) << "a slice without the label on either side has no Dice";
    EXPECT_EQ(rows[0].slice, 0);
    EXPECT_DOUBLE_EQ(rows[0].dice, 2.0 / 3.0);
    EXPECT_DOUBLE_EQ(rows[1].dice, 0) << "missed on slice 2";
    EXPECT_DOUBLE_EQ(rows[2].dice, 1);
    EXPECT_DOUBLE_EQ(rows[3].dice, 0) << "predicted where there is none";
    EXPECT_DOUBLE_EQ(meanSliceDice(rows, 1), 1.0 / 3.0);
    EXPECT_DOUBLE_EQ(meanSliceDice(rows, 2), 0.5);
    EXPECT_TRUE(std::isnan(meanSliceDice(rows, 3)));
    EXPECT_ANY_THROW(
        sliceDice(reference, LabelMap(Volume<std::uint8_t>(Geometry::axisAligned({4, 1, 2}, {1, 1, 1}), 0)), {1}));
}

TEST(SliceDice, Tables) {
    const LabelMap reference = labelsOf({1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    const LabelMap prediction = labelsOf({1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    const auto folder = std::filesystem::temp_directory_path() / "medseg_slice_dice";
    writeSliceDice(folder, {{"case1", sliceDice(reference, prediction, {1, 2})}},
                   LabelTable::fromNames({"Reticulation", "Honey, combing"}));
    EXPECT_EQ(readTextFile(folder / "per_slice.csv"),
              "case,label,slice,reference_pixels,prediction_pixels,dice\ncase1,Reticulation,0,2,2,1.000000\n");
    EXPECT_EQ(readTextFile(folder / "per_slice_means.csv"),
              "case,Reticulation,\"Honey, combing\"\ncase1,1.000000,\nmean,1.000000,\n");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace medseg
