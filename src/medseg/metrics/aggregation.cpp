#include "medseg/metrics/aggregation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "medseg/base/error.h"
#include "medseg/base/random.h"

namespace medseg {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLargestExactSample = 50;

double mean(std::span<const double> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double squaredDeviations(std::span<const double> values, double center) {
    double sum = 0;
    for (const double value : values) sum += (value - center) * (value - center);
    return sum;
}

void setBootstrapInterval(std::span<const double> values, const BootstrapOptions& options, SampleStatistics& result) {
    result.confidenceLow = result.confidenceHigh = result.mean;
    if (values.size() < 2 || options.resamples < 1) return;
    Random random(options.seed, values.size());
    std::vector<double> means(options.resamples);
    for (double& resampled : means) {
        double sum = 0;
        for (std::size_t i = 0; i < values.size(); ++i) sum += values[random.index(values.size())];
        resampled = sum / static_cast<double>(values.size());
    }
    std::sort(means.begin(), means.end());
    const double tail = 50 * (1 - options.confidence);
    result.confidenceLow = percentileOfSorted(means, tail);
    result.confidenceHigh = percentileOfSorted(means, 100 - tail);
}

void setUndefined(SampleStatistics& result) {
    result.mean = result.median = result.standardDeviation = result.populationStandardDeviation = kNaN;
    result.minimum = result.maximum = result.lowerQuartile = result.upperQuartile = kNaN;
    result.confidenceLow = result.confidenceHigh = kNaN;
}

/// Probability that the smaller rank sum of `count` untied differences is at most `statistic`, both tails together.
double exactPValue(std::int64_t count, std::int64_t statistic) {
    // ways[s]: probability that a random choice of signs gives positive rank sum s.
    const std::int64_t largest = count * (count + 1) / 2;
    std::vector<double> ways(largest + 1, 0);
    ways[0] = 1;
    for (std::int64_t rank = 1; rank <= count; ++rank)
        for (std::int64_t sum = largest; sum >= 0; --sum)
            ways[sum] = 0.5 * (ways[sum] + (sum >= rank ? ways[sum - rank] : 0));
    double tail = 0;
    for (std::int64_t sum = 0; sum <= statistic; ++sum) tail += ways[sum];
    return std::min(1.0, 2 * tail);
}

struct RankSums {
    double positive = 0;
    double negative = 0;
    double tieCorrection = 0;  // sum of t^3 - t over groups of equal magnitude
};

/// Ranks by magnitude, ties share their mean rank.
RankSums rankSums(std::vector<double> differences) {
    std::sort(differences.begin(), differences.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    RankSums sums;
    for (std::size_t first = 0; first < differences.size();) {
        std::size_t last = first + 1;
        while (last < differences.size() && std::abs(differences[last]) == std::abs(differences[first])) ++last;
        const double rank = 0.5 * static_cast<double>(first + 1 + last);
        for (std::size_t i = first; i < last; ++i) (differences[i] > 0 ? sums.positive : sums.negative) += rank;
        const double tied = static_cast<double>(last - first);
        sums.tieCorrection += tied * tied * tied - tied;
        first = last;
    }
    return sums;
}

}  // namespace

double meanIgnoringNaN(std::span<const double> values) {
    double sum = 0;
    std::int64_t count = 0;
    for (const double value : values) {
        if (std::isnan(value)) continue;
        sum += value;
        ++count;
    }
    return count == 0 ? kNaN : sum / static_cast<double>(count);
}

double percentileOfSorted(std::span<const double> sorted, double percent) {
    if (sorted.empty()) return kNaN;
    const double position = percent / 100 * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    if (below + 1 >= sorted.size()) return sorted.back();
    const double fraction = position - static_cast<double>(below);
    return sorted[below] + (sorted[below + 1] - sorted[below]) * fraction;
}

SampleStatistics statisticsOf(std::span<const double> values, const BootstrapOptions& bootstrap) {
    SampleStatistics result;
    std::vector<double> finite;
    for (const double value : values) {
        if (std::isnan(value))
            ++result.countNaN;
        else if (std::isinf(value))
            ++result.countInfinite;
        else
            finite.push_back(value);
    }
    result.count = static_cast<std::int64_t>(finite.size());
    if (finite.empty()) {
        setUndefined(result);
        return result;
    }
    result.mean = mean(finite);
    const double deviations = squaredDeviations(finite, result.mean);
    result.populationStandardDeviation = std::sqrt(deviations / static_cast<double>(finite.size()));
    result.standardDeviation =
        finite.size() < 2 ? kNaN : std::sqrt(deviations / static_cast<double>(finite.size() - 1));
    setBootstrapInterval(finite, bootstrap, result);
    std::sort(finite.begin(), finite.end());
    result.minimum = finite.front();
    result.maximum = finite.back();
    result.median = percentileOfSorted(finite, 50);
    result.lowerQuartile = percentileOfSorted(finite, 25);
    result.upperQuartile = percentileOfSorted(finite, 75);
    return result;
}

WilcoxonResult wilcoxonSignedRank(std::span<const double> differences) {
    std::vector<double> used;
    bool hasZeros = false;
    for (const double difference : differences) {
        if (!std::isfinite(difference)) continue;
        if (difference == 0)
            hasZeros = true;
        else
            used.push_back(difference);
    }
    WilcoxonResult result;
    result.count = static_cast<std::int64_t>(used.size());
    if (used.empty()) {
        result.pValue = kNaN;
        return result;
    }
    const RankSums sums = rankSums(std::move(used));
    result.positiveRanks = sums.positive;
    result.negativeRanks = sums.negative;
    result.statistic = std::min(sums.positive, sums.negative);
    result.exact = result.count <= kLargestExactSample && sums.tieCorrection == 0 && !hasZeros;
    if (result.exact) {
        result.pValue = exactPValue(result.count, static_cast<std::int64_t>(result.statistic));
    } else {
        const double n = static_cast<double>(result.count);
        const double variance = n * (n + 1) * (2 * n + 1) / 24 - sums.tieCorrection / 48;
        const double z = (result.statistic - n * (n + 1) / 4) / std::sqrt(variance);
        result.pValue = std::erfc(std::abs(z) / std::sqrt(2.0));
    }
    return result;
}

PairedComparison comparePaired(std::span<const double> first, std::span<const double> second,
                               const BootstrapOptions& bootstrap) {
    if (first.size() != second.size()) throw WorkError("paired comparison needs samples of equal length");
    std::vector<double> a, b, differences;
    PairedComparison result;
    for (std::size_t i = 0; i < first.size(); ++i) {
        if (!std::isfinite(first[i]) || !std::isfinite(second[i])) continue;
        a.push_back(first[i]);
        b.push_back(second[i]);
        differences.push_back(second[i] - first[i]);
        ++(second[i] > first[i] ? result.better : second[i] < first[i] ? result.worse : result.equal);
    }
    result.first = statisticsOf(a, bootstrap);
    result.second = statisticsOf(b, bootstrap);
    result.difference = statisticsOf(differences, bootstrap);
    result.test = wilcoxonSignedRank(differences);
    return result;
}

}  // namespace medseg
