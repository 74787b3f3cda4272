#include "medseg/imaging/window.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

TEST(Window, FindsNamesHoweverTheyAreWritten) {
    EXPECT_EQ(parseWindow("Soft Tissue").level, 40);
    EXPECT_EQ(parseWindow("soft_tissue").width, 400);
    EXPECT_EQ(parseWindow("lung").low(), -1350);
    EXPECT_EQ(parseWindow("lung").high(), 150);
    EXPECT_EQ(parseWindow("-600/1500").low(), -1350);
    EXPECT_THROW(parseWindow("lungs"), UsageError);
    EXPECT_THROW(parseWindow("40/0"), UsageError);
    EXPECT_THROW(parseWindow("40/400x"), UsageError);
}

TEST(Window, ScalesToUnitAndClips) {
    const std::vector<float> values{-1000, -160, 40, 240, 3000, std::numeric_limits<float>::quiet_NaN()};
    std::vector<float> out(values.size());
    scaleToUnit(std::span<const float>(values), Window{40, 400}, std::span<float>(out));
    EXPECT_EQ(out, (std::vector<float>{0, 0, 0.5, 1, 1, 0}));
}

TEST(Window, TableAndDirectPathAgree) {
    std::vector<std::int16_t> values(200000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int16_t>(i * 7919 % 65536 - 32768);
    std::vector<std::uint8_t> whole(values.size());
    const ByteScale scale = windowScale({40, 400});
    scaleToBytes(std::span<const std::int16_t>(values), scale, std::span(whole));
    for (std::size_t i = 0; i < values.size(); i += 997) {
        std::uint8_t one = 0;
        scaleToBytes(std::span<const std::int16_t>(&values[i], 1), scale, std::span(&one, 1));
        EXPECT_EQ(one, whole[i]);
    }
}

// Expected values: numpy.percentile([1, 2, 4, 8], [0, 25, 50, 90, 100]).
TEST(Window, PercentilesInterpolateLinearly) {
    const std::vector<double> percents{0, 25, 50, 90, 100};
    const std::vector<double> expected{1, 1.75, 3, 6.8, 8};
    const std::vector<std::int16_t> integers{8, 1, 4, 2};
    const std::vector<float> floats{8, 1, 4, 2, std::numeric_limits<float>::quiet_NaN()};
    const auto a = percentiles(std::span<const std::int16_t>(integers), std::span<const double>(percents));
    const auto b = percentiles(std::span<const float>(floats), std::span<const double>(percents));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(a[i], expected[i], 1e-12);
        EXPECT_NEAR(b[i], expected[i], 1e-12);
    }
}

TEST(Window, StatisticsOfNothingAreZero) {
    const std::vector<float> nan(3, std::numeric_limits<float>::quiet_NaN());
    const std::vector<double> percents{50};
    EXPECT_EQ(percentiles(std::span<const float>(nan), std::span<const double>(percents)), std::vector<double>{0});
    EXPECT_EQ(finiteRange(std::span<const float>(nan)).high, 0);
    EXPECT_EQ(meanAndStd(std::span<const float>(nan)).std, 0);
    const std::vector<std::int16_t> zeros(10, 0);
    std::vector<std::uint8_t> out(10, 9);
    scaleToBytes(std::span<const std::int16_t>(zeros), medsamMrScale(std::span<const std::int16_t>(zeros)),
                 std::span(out));
    EXPECT_EQ(out, std::vector<std::uint8_t>(10, 0));
}

TEST(Window, MeanAndStdOfASequence) {
    std::vector<std::int32_t> values(1000001);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i);
    const auto [mean, std] = meanAndStd(std::span<const std::int32_t>(values));
    EXPECT_DOUBLE_EQ(mean, 500000);
    EXPECT_NEAR(std, std::sqrt((1000001.0 * 1000001.0 - 1) / 12), 1e-6);
}

}  // namespace
}  // namespace medseg
