#include "medseg/train/rank_overlap.h"

namespace medseg {

LabelOverlap sumOverRanks(const LabelOverlap& own, DataParallel& ranks) {
    constexpr std::int64_t kLabels = 256;
    torch::Tensor counts = torch::zeros({kLabels, 3}, torch::kLong);
    auto values = counts.accessor<std::int64_t, 2>();
    for (const auto& [label, overlap] : own.counts()) {
        values[label][0] = overlap.intersection;
        values[label][1] = overlap.reference;
        values[label][2] = overlap.prediction;
    }
    ranks.sum(counts);
    LabelOverlap all;
    for (std::int64_t label = 0; label < kLabels; ++label) {
        OverlapCounts overlap;
        overlap.intersection = values[label][0];
        overlap.reference = values[label][1];
        overlap.prediction = values[label][2];
        if (overlap.reference + overlap.prediction > 0) all.add(static_cast<int>(label), overlap);
    }
    return all;
}

}  // namespace medseg
