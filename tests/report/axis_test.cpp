#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/report/axis.h"
#include "medseg/report/charts.h"
#include "png_decoding.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> labelsOf(const std::vector<Tick>& ticks) {
    std::vector<std::string> labels;
    for (const Tick& tick : ticks) labels.push_back(tick.label);
    return labels;
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Ticks, AreRoundNumbersWithEqualDecimals) {
    EXPECT_THAT(labelsOf(niceTicks(0, 1, 6)), ElementsAre("0.0", "0.2", "0.4", "0.6", "0.8", "1.0"));
    EXPECT_THAT(labelsOf(niceTicks(0, 1, 5)), ElementsAre("0.0", "0.5", "1.0"));
    EXPECT_THAT(labelsOf(niceTicks(-0.3, 0.25, 7)), ElementsAre("-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2"));
    EXPECT_THAT(labelsOf(niceTicks(0, 1234, 4)), ElementsAre("0", "500", "1000"));
    EXPECT_THAT(labelsOf(niceTicks(0.02, 0.09, 8)),
                ElementsAre("0.02", "0.03", "0.04", "0.05", "0.06", "0.07", "0.08", "0.09"));
}

TEST(Ticks, StayWholeForEpochs) {
    EXPECT_THAT(labelsOf(niceTicks(1, 3, 10, true)), ElementsAre("1", "2", "3"));
    EXPECT_THAT(labelsOf(niceTicks(1, 60, 7, true)), ElementsAre("10", "20", "30", "40", "50", "60"));
}

TEST(Ticks, NeverExceedTheirNumber) {
    for (double high = 0.001; high < 1e7; high *= 1.37)
        for (int most = 3; most <= 12; ++most) {
            const auto ticks = niceTicks(0, high, most);
            EXPECT_LE(static_cast<int>(ticks.size()), most) << high;
            EXPECT_GE(ticks.size(), 1U) << high;
        }
}

TEST(Ticks, LogarithmicTicksAreDecades) {
    EXPECT_THAT(labelsOf(logarithmicTicks(1e-4, 1e-2, 3)), ElementsAre("0.0001", "0.001", "0.01"));
    EXPECT_THAT(labelsOf(logarithmicTicks(1, 10, 6)), ElementsAre("1", "2", "5", "10"));
}

TEST(AxisScale, EndsAtTicksOutsideTheData) {
    const AxisScale scale({}, 0.13, 0.87, 6);
    EXPECT_DOUBLE_EQ(scale.low(), 0);
    EXPECT_DOUBLE_EQ(scale.high(), 1);
    EXPECT_DOUBLE_EQ(scale.fraction(0.25), 0.25);
    const AxisScale fixed({.min = 0, .max = 0.9}, 0.2, 0.5, 6);
    EXPECT_DOUBLE_EQ(fixed.high(), 0.9);
}

TEST(AxisScale, SurvivesNoDataAndEqualValues) {
    const AxisScale none({}, kNan, kNan, 5);
    EXPECT_LT(none.low(), none.high());
    for (const double value : {0.0, 3.0, -2.0}) {
        const AxisScale constant({}, value, value, 5);
        EXPECT_GT(constant.fraction(value), 0) << value;
        EXPECT_LT(constant.fraction(value), 1) << value;
    }
}

TEST(AxisScale, LogarithmicPlacesDecadesEvenly) {
    const AxisScale scale({.min = 1e-4, .max = 1e-2, .logarithmic = true}, 1e-4, 1e-2, 5);
    EXPECT_NEAR(scale.fraction(1e-3), 0.5, 1e-12);
    EXPECT_TRUE(std::isnan(scale.fraction(0)));
    const AxisScale constant({.logarithmic = true}, 1e-3, 1e-3, 5);
    EXPECT_GT(constant.fraction(1e-3), 0);
    EXPECT_LT(constant.fraction(1e-3), 1);
}

TEST(Quantile, AgreesWithNumpy) {
    // numpy.quantile([3, 1, 4, 1, 5], q)
    const std::vector<double> values{3, 1, kNan, 4, 1, 5};
    EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
    EXPECT_DOUBLE_EQ(quantile(values, 0.25), 1);
    EXPECT_DOUBLE_EQ(quantile(values, 0.5), 3);
    EXPECT_DOUBLE_EQ(quantile(values, 0.9), 4.6);
    EXPECT_TRUE(std::isnan(quantile({kNan}, 0.5)));
}

TEST(Charts, DrawEveryKindWithAndWithoutData) {
    const std::vector<double> values{0.2, 0.5, kNan, 0.9};
    LineChart lines{.title = "t", .series = {{.name = "a", .x = {1, 2, 3, 4}, .y = values}}};
    EXPECT_EQ(decodePng(renderLineChart(lines, 300, 200).png()).width, 600);
    EXPECT_NO_THROW(renderLineChart({}).png());
    BarChart bars{.bars = {{.name = "liver", .value = 0.9}, {.name = "spleen", .value = kNan}}, .reference = 0.5};
    EXPECT_NO_THROW(renderBarChart(bars).png());
    EXPECT_NO_THROW(renderBarChart({}).png());
    for (const DistributionStyle style : {DistributionStyle::Box, DistributionStyle::Violin}) {
        DistributionChart chart{
            .groups = {{.name = "one", .values = {0.5}}, {.name = "some", .values = values}, {.name = "none"}},
            .style = style};
        EXPECT_NO_THROW(renderDistributionChart(chart).png());
        EXPECT_NO_THROW(renderDistributionChart({.style = style}).png());
    }
    EXPECT_NO_THROW(renderHistogram({.groups = {{.values = values}}}).png());
    EXPECT_NO_THROW(renderHistogram({}).png());
    EXPECT_NO_THROW(renderGroupedBars({.categories = {"x", "y"}, .series = {{"s", {1, kNan}}}}).png());
    EXPECT_NO_THROW(renderGroupedBars({}).png());
}

TEST(Charts, ARankingOf117StructuresHasRoomForEveryName) {
    BarChart chart;
    for (int i = 0; i < 117; ++i) chart.bars.push_back({.name = "structure", .value = i / 117.0});
    const Canvas canvas = renderBarChart(chart);
    EXPECT_GE(canvas.height(), 59 * 14);
}

TEST(Charts, ABarEndsAtItsValue) {
    const Color color{200, 0, 100};
    BarChart chart{.bars = {{.name = "a", .value = 0.25}, {.name = "b", .value = 1}}, .color = color};
    chart.value.min = 0;
    chart.value.max = 1;
    const RgbImage image = renderBarChart(chart).pixels();
    const auto lengthOfRow = [&](std::int64_t y) {
        std::int64_t count = 0;
        for (std::int64_t x = 0; x < image.width; ++x) count += image.at(x, y) == color;
        return count;
    };
    std::vector<std::int64_t> lengths;
    for (std::int64_t y = 0; y < image.height; ++y)
        if (const std::int64_t length = lengthOfRow(y); length > 0) lengths.push_back(length);
    ASSERT_GE(lengths.size(), 20U);
    const double shorter = static_cast<double>(lengths[lengths.size() / 4]);
    const double longer = static_cast<double>(lengths[lengths.size() * 3 / 4]);
    EXPECT_NEAR(shorter / longer, 0.25, 0.01);
}

}  // namespace
}  // namespace medseg
