// The overlap part of a segmentation loss as a function of a few sums for each channel.
#pragma once

#include <vector>

#include "medseg/nn/segmentation_loss.h"

namespace medseg {

/// Sums over the pixels of a group (one image, or the batch) for each channel.
struct ClassSums {
    std::vector<double> probability;   ///< of p, or of p^2 when options.squared
    std::vector<double> intersection;  ///< of p t
    std::vector<double> reference;     ///< of t

    explicit ClassSums(std::size_t channels) : probability(channels), intersection(channels), reference(channels) {}
    void add(const ClassSums& other);
};

/// The term's value and its derivative: d/dp of channel c is onTarget[c] * t + constant[c] (times 2 p when
/// options.squared). The weight of the term is in both.
struct OverlapTerm {
    double loss = 0;
    std::vector<float> constant, onTarget;
};

/// One term for each group; together they are options.diceWeight * the mean that the options ask for. Zero where no
/// channel of any group counts.
std::vector<OverlapTerm> overlapTerms(const std::vector<ClassSums>& groups, const SegmentationLossOptions& options);

}  // namespace medseg
