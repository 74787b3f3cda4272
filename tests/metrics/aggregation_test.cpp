#include "medseg/metrics/aggregation.h"

#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

TEST(Statistics, EqualNumpy) {
    const SampleStatistics s = statisticsOf(std::vector<double>{0.2, 0.5, NAN, 0.9, 0.4, INFINITY, 0.7});
    EXPECT_EQ(s.count, 5);
    EXPECT_EQ(s.countNaN, 1);
    EXPECT_EQ(s.countInfinite, 1);
    EXPECT_DOUBLE_EQ(s.mean, 0.54);
    EXPECT_DOUBLE_EQ(s.median, 0.5);
    EXPECT_DOUBLE_EQ(s.standardDeviation, 0.2701851217221259);
    EXPECT_DOUBLE_EQ(s.lowerQuartile, 0.4);
    EXPECT_DOUBLE_EQ(s.upperQuartile, 0.7);
    EXPECT_LT(s.confidenceLow, s.mean);
    EXPECT_GT(s.confidenceHigh, s.mean);
}

TEST(Statistics, NothingToMeasure) {
    const SampleStatistics s = statisticsOf(std::vector<double>{NAN, NAN});
    EXPECT_EQ(s.count, 0);
    EXPECT_TRUE(std::isnan(s.mean));
    EXPECT_TRUE(std::isnan(s.confidenceLow));
    const SampleStatistics one = statisticsOf(std::vector<double>{0.25});
    EXPECT_EQ(one.confidenceLow, 0.25);
    EXPECT_TRUE(std::isnan(one.standardDeviation));
}

TEST(Statistics, BootstrapIntervalIsRepeatableAndNearTheNormalOne) {
    std::vector<double> values;
    for (int i = 0; i < 200; ++i) values.push_back(std::sin(12.9898 * i));
    const SampleStatistics first = statisticsOf(values), second = statisticsOf(values);
    EXPECT_EQ(first.confidenceLow, second.confidenceLow);
    const double halfWidth = 1.96 * first.standardDeviation / std::sqrt(200.0);
    EXPECT_NEAR(first.confidenceLow, first.mean - halfWidth, 0.1 * halfWidth);
    EXPECT_NEAR(first.confidenceHigh, first.mean + halfWidth, 0.1 * halfWidth);
    BootstrapOptions other;
    other.seed = 7;
    EXPECT_NE(statisticsOf(values, other).confidenceLow, first.confidenceLow);
}

// Expected values: scipy.stats.wilcoxon 1.10.
TEST(Wilcoxon, ExactForSmallSamples) {
    const WilcoxonResult r = wilcoxonSignedRank(
        std::vector<double>{0.012, -0.034, 0.051, 0.008, -0.002, 0.027, 0.044, 0.019, -0.011, 0.033});
    EXPECT_TRUE(r.exact);
    EXPECT_EQ(r.statistic, 12);
    EXPECT_DOUBLE_EQ(r.pValue, 0.130859375);
    EXPECT_DOUBLE_EQ(wilcoxonSignedRank(std::vector<double>{1, 2, 3}).pValue, 0.25);
}

TEST(Wilcoxon, TiesAndZerosUseTheNormalApproximation) {
    const WilcoxonResult r =
        wilcoxonSignedRank(std::vector<double>{0.1, 0.1, -0.1, 0.2, 0.3, -0.2, 0.4, 0.0, 0.5, 0.5, 0.6, -0.3});
    EXPECT_FALSE(r.exact);
    EXPECT_EQ(r.count, 11);
    EXPECT_EQ(r.statistic, 13);
    EXPECT_NEAR(r.pValue, 0.07435886206781978, 1e-12);
}

TEST(Wilcoxon, NormalApproximationForLargeSamples) {
    std::vector<double> differences;
    for (int i = 0; i < 60; ++i) differences.push_back((i * 37 % 101 - 40.5) / 10);
    const WilcoxonResult r = wilcoxonSignedRank(differences);
    EXPECT_FALSE(r.exact);
    EXPECT_EQ(r.statistic, 618);
    EXPECT_NEAR(r.pValue, 0.02878122622792316, 1e-12);
}

TEST(Wilcoxon, NoDifferences) {
    const WilcoxonResult r = wilcoxonSignedRank(std::vector<double>{0, 0, NAN});
    EXPECT_EQ(r.count, 0);
    EXPECT_TRUE(std::isnan(r.pValue));
}

TEST(PairedComparison, LeavesOutPairsThatLackAValue) {
    const PairedComparison c =
        comparePaired(std::vector<double>{0.5, NAN, 0.7, 0.2}, std::vector<double>{0.6, 0.9, 0.7, 0.1});
    EXPECT_EQ(c.difference.count, 3);
    EXPECT_EQ(c.better, 1);
    EXPECT_EQ(c.worse, 1);
    EXPECT_EQ(c.equal, 1);
    EXPECT_NEAR(c.difference.mean, 0, 1e-15);
    EXPECT_THROW(comparePaired(std::vector<double>{1}, std::vector<double>{}), WorkError);
}

}  // namespace
}  // namespace medseg
