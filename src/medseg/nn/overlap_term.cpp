#include "medseg/nn/overlap_term.h"

#include <algorithm>
#include <cmath>

namespace medseg {
namespace {

std::vector<std::size_t> countedChannels(const ClassSums& sums, const SegmentationLossOptions& options) {
    std::vector<std::size_t> counted;
    const bool skipBackground = options.output == OutputKind::Softmax && !options.withBackground;
    for (std::size_t c = skipBackground ? 1 : 0; c < sums.reference.size(); ++c)
        if (!options.presentOnly || sums.reference[c] > 0) counted.push_back(c);
    return counted;
}

/// 1 - (k I + s) / (u I + a P + b R + s) covers Dice, Jaccard and Tversky.
struct Ratio {
    double intersectionAbove, intersectionBelow, predicted, reference;

    static Ratio of(const SegmentationLossOptions& options) {
        if (options.overlap == OverlapForm::Tversky) {
            const double a = options.tverskyFalsePositive, b = options.tverskyFalseNegative;
            return {1, 1 - a - b, a, b};
        }
        if (options.jaccard) return {2, -2, 2, 2};
        return {2, 0, 1, 1};
    }
};

void addRatio(OverlapTerm& term, const ClassSums& sums, std::size_t c, double share,
              const SegmentationLossOptions& options) {
    const Ratio ratio = Ratio::of(options);
    const double numerator = ratio.intersectionAbove * sums.intersection[c] + options.smooth;
    const double denominator = ratio.intersectionBelow * sums.intersection[c] + ratio.predicted * sums.probability[c] +
                               ratio.reference * sums.reference[c] + options.smooth;
    term.loss += share * (1 - numerator / denominator);
    term.constant[c] = static_cast<float>(share * ratio.predicted * numerator / (denominator * denominator));
    term.onTarget[c] = static_cast<float>(-share * ratio.intersectionAbove / denominator +
                                          share * ratio.intersectionBelow * numerator / (denominator * denominator));
}

/// 1 / R^2; absent channels get the largest weight of the present ones, as in MONAI.
std::vector<double> generalizedWeights(const ClassSums& sums, const std::vector<std::size_t>& counted) {
    std::vector<double> weights;
    double largest = 0;
    for (const std::size_t c : counted) {
        weights.push_back(sums.reference[c] > 0 ? 1 / (sums.reference[c] * sums.reference[c]) : 0);
        largest = std::max(largest, weights.back());
    }
    for (double& weight : weights)
        if (weight == 0) weight = largest;
    return weights;
}

void addGeneralized(OverlapTerm& term, const ClassSums& sums, const std::vector<std::size_t>& counted, double share,
                    double smooth) {
    const std::vector<double> weights = generalizedWeights(sums, counted);
    double numerator = smooth, denominator = smooth;
    for (std::size_t i = 0; i < counted.size(); ++i) {
        const std::size_t c = counted[i];
        numerator += 2 * weights[i] * sums.intersection[c];
        denominator += weights[i] * (sums.probability[c] + sums.reference[c]);
    }
    term.loss += share * (1 - numerator / denominator);
    for (std::size_t i = 0; i < counted.size(); ++i) {
        term.constant[counted[i]] = static_cast<float>(share * weights[i] * numerator / (denominator * denominator));
        term.onTarget[counted[i]] = static_cast<float>(-2 * share * weights[i] / denominator);
    }
}

}  // namespace

void ClassSums::add(const ClassSums& other) {
    for (std::size_t c = 0; c < probability.size(); ++c) {
        probability[c] += other.probability[c];
        intersection[c] += other.intersection[c];
        reference[c] += other.reference[c];
    }
}

std::vector<OverlapTerm> overlapTerms(const std::vector<ClassSums>& groups, const SegmentationLossOptions& options) {
    std::vector<OverlapTerm> terms(groups.size());
    std::vector<std::vector<std::size_t>> counted;
    std::size_t total = 0, used = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        terms[g].constant.assign(groups[g].reference.size(), 0.0F);
        terms[g].onTarget.assign(groups[g].reference.size(), 0.0F);
        counted.push_back(countedChannels(groups[g], options));
        total += counted.back().size();
        used += counted.back().empty() ? 0 : 1;
    }
    if (options.diceWeight == 0 || total == 0) return terms;
    const bool generalized = options.overlap == OverlapForm::Generalized;
    const double share = options.diceWeight / static_cast<double>(generalized ? used : total);
    for (std::size_t g = 0; g < groups.size(); ++g) {
        if (generalized) {
            if (!counted[g].empty()) addGeneralized(terms[g], groups[g], counted[g], share, options.smooth);
            continue;
        }
        for (const std::size_t c : counted[g])
            addRatio(terms[g], groups[g], c, options.classWeights.empty() ? share : share * options.classWeights[c],
                     options);
    }
    return terms;
}

}  // namespace medseg
