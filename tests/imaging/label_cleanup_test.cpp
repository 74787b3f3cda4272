#include "medseg/imaging/label_cleanup.h"

#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

Volume<std::uint8_t> emptyVolume(std::int64_t n) {
    return Volume<std::uint8_t>(Geometry::axisAligned({n, n, n}, {1, 1, 1}), 0);
}

void fillBox(Volume<std::uint8_t>& volume, std::int64_t low, std::int64_t high, std::uint8_t label) {
    for (std::int64_t z = low; z < high; ++z)
        for (std::int64_t y = low; y < high; ++y)
            for (std::int64_t x = low; x < high; ++x) volume(x, y, z) = label;
}

TEST(LabelCleanup, FillsHolesOfOneLabelOnly) {
    auto labels = emptyVolume(12);
    fillBox(labels, 1, 8, 3);
    labels(4, 4, 4) = 0;  // enclosed by label 3
    labels(6, 3, 3) = 0;  // enclosed by labels 3 and 5
    labels(7, 3, 3) = 5;
    labels(1, 4, 4) = 0;  // open to the outside
    EXPECT_EQ(fillLabelHoles(labels), 1);
    EXPECT_EQ(labels(4, 4, 4), 3);
    EXPECT_EQ(labels(6, 3, 3), 0);
    EXPECT_EQ(labels(1, 4, 4), 0);
}

TEST(LabelCleanup, ARegionAtTheBorderIsNoHole) {
    auto labels = emptyVolume(5);
    fillBox(labels, 0, 5, 2);
    labels(0, 2, 2) = 0;
    labels(2, 2, 2) = 0;
    EXPECT_EQ(fillLabelHoles(labels), 1);
    EXPECT_EQ(labels(0, 2, 2), 0);
}

TEST(LabelCleanup, StepsAreTakenWhereAskedFor) {
    auto volume = emptyVolume(12);
    fillBox(volume, 1, 5, 1);
    volume(2, 2, 2) = 0;
    volume(9, 9, 9) = 1;
    volume(7, 7, 7) = 2;
    volume(10, 1, 1) = volume(10, 2, 1) = 2;
    LabelMap untouched(volume.clone());
    cleanLabels(untouched, {});
    EXPECT_EQ(untouched.at(9, 9, 9), 1);
    EXPECT_EQ(untouched.at(2, 2, 2), 0);

    LabelMap dusted(volume.clone());
    cleanLabels(dusted, {.smallVoxels = 2});
    EXPECT_EQ(dusted.countVoxels(), (std::vector<std::int64_t>{12 * 12 * 12 - 65, 63, 2}));

    LabelMap largest(volume.clone());
    cleanLabels(largest, {.largestComponent = true, .fillHoles = true});
    EXPECT_EQ(largest.countVoxels(), (std::vector<std::int64_t>{12 * 12 * 12 - 66, 64, 2}));
}

TEST(LabelCleanup, RefusesNegativeValues) {
    LabelMap labels(emptyVolume(2));
    EXPECT_THROW(cleanLabels(labels, {.smallVoxels = -1}), UsageError);
    EXPECT_THROW(cleanLabels(labels, {.smoothMm = -1}), UsageError);
}

}  // namespace
}  // namespace medseg
