// Statistics over cases: what a table of results says in one line, and whether two methods differ.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace medseg {

/// Summary of the finite values of a sample. NaN (nothing to measure) and infinite values (a surface is missing) take
/// no part, but are counted.
struct SampleStatistics {
    std::int64_t count = 0;          ///< finite values
    std::int64_t countNaN = 0;       ///< left out: not defined
    std::int64_t countInfinite = 0;  ///< left out: infinite
    /// All NaN when count is 0.
    double mean = 0;
    double median = 0;
    double standardDeviation = 0;            ///< sample standard deviation (n - 1); NaN when count < 2
    double populationStandardDeviation = 0;  ///< with n
    double minimum = 0;
    double maximum = 0;
    double lowerQuartile = 0;  ///< 25 %, linear interpolation
    double upperQuartile = 0;
    /// Percentile bootstrap interval of the mean; mean itself for one value.
    double confidenceLow = 0;
    double confidenceHigh = 0;
};

struct BootstrapOptions {
    int resamples = 2000;
    double confidence = 0.95;  ///< in (0, 1)
    std::uint64_t seed = 0;    ///< the interval is a function of values, options and seed only
};

SampleStatistics statisticsOf(std::span<const double> values, const BootstrapOptions& bootstrap = {});

/// Mean of the values that are not NaN; NaN if there are none.
double meanIgnoringNaN(std::span<const double> values);

/// Percentile with linear interpolation between the sorted values (numpy's default), `percent` in [0, 100]. NaN for an
/// empty sample; interpolating towards an infinite value gives NaN, as in numpy and torch.
double percentileOfSorted(std::span<const double> sorted, double percent);

/// Wilcoxon signed-rank test of paired differences, two-sided.
struct WilcoxonResult {
    std::int64_t count = 0;    ///< differences that are finite and not 0 (zeros are dropped: Wilcoxon's treatment)
    double positiveRanks = 0;  ///< sum of the ranks of positive differences
    double negativeRanks = 0;
    double statistic = 0;  ///< the smaller rank sum
    double pValue = 1;     ///< NaN when count is 0
    bool exact = false;    ///< from the exact distribution, else from the normal approximation with tie correction
};

/// Exact for up to 50 differences without ties and zeros, else the normal approximation (no continuity correction), the
/// choice of scipy.stats.wilcoxon(zero_method="wilcox").
WilcoxonResult wilcoxonSignedRank(std::span<const double> differences);

/// Two predictions of the same cases.
struct PairedComparison {
    SampleStatistics first;
    SampleStatistics second;
    SampleStatistics difference;  ///< second - first, over the cases where both are finite
    WilcoxonResult test;
    std::int64_t better = 0;  ///< cases where second > first
    std::int64_t worse = 0;
    std::int64_t equal = 0;
};

/// Both spans in the same order of cases. Throws WorkError if their lengths differ.
PairedComparison comparePaired(std::span<const double> first, std::span<const double> second,
                               const BootstrapOptions& bootstrap = {});

}  // namespace medseg
