#include "medseg/report/contact_sheet.h"

#include <gtest/gtest.h>

namespace medseg {
namespace {

/// Two tiles of 40x20: gray 100 everywhere, label 7 on the whole second tile.
CasePreview preview() {
    CasePreview preview{40, 20, std::vector<std::uint8_t>(1600, 100), std::vector<std::uint8_t>(1600, 0)};
    std::fill(preview.labels.begin() + 800, preview.labels.end(), 7);
    return preview;
}

std::int64_t pixelsOf(const RgbImage& image, Color color) {
    std::int64_t count = 0;
    for (std::int64_t y = 0; y < image.height; ++y)
        for (std::int64_t x = 0; x < image.width; ++x) count += image.at(x, y) == color;
    return count;
}

TEST(ContactSheet, ShowsEverySlicePlainAndWithLabels) {
    const RgbImage image = composeContactSheet({{"a", "2 slices", preview()}}, "run").pixels();
    // Three of the four pictures are plain gray and equally large.
    const std::int64_t gray = pixelsOf(image, {100, 100, 100});
    EXPECT_GT(gray, 3 * 150 * 75);
    EXPECT_LT(gray, 3 * 190 * 95);
}

TEST(ContactSheet, GrowsByTheRow) {
    const Canvas one = composeContactSheet({{"a", "", preview()}}, "run");
    const Canvas two = composeContactSheet({{"a", "", preview()}, {"b", "", preview()}}, "run");
    EXPECT_EQ(one.width(), two.width());
    EXPECT_GT(two.height(), one.height() + 100);
}

TEST(ContactSheet, WritesNothingWithoutPreviews) {
    EXPECT_FALSE(writeContactSheet("/nowhere/sheet.png", "/nowhere", {}, "run"));
}

}  // namespace
}  // namespace medseg
