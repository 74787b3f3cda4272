#include "medseg/metrics/label_overlap.h"

#include <cmath>
#include <limits>

namespace medseg {
namespace {

template <typename Score>
double meanOf(const std::map<int, OverlapCounts>& counts, Score&& score) {
    double sum = 0;
    int labels = 0;
    for (const auto& [label, count] : counts) {
        const double value = score(count);
        if (std::isnan(value)) continue;
        sum += value;
        ++labels;
    }
    return labels > 0 ? sum / labels : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

void LabelOverlap::add(int label, const OverlapCounts& counts) {
    OverlapCounts& sum = counts_[label];
    sum.reference += counts.reference;
    sum.prediction += counts.prediction;
    sum.intersection += counts.intersection;
}

double LabelOverlap::meanDice() const {
    return meanOf(counts_, [](const OverlapCounts& c) { return diceScore(c); });
}

double LabelOverlap::meanIou() const {
    return meanOf(counts_, [](const OverlapCounts& c) { return iouScore(c); });
}

}  // namespace medseg
