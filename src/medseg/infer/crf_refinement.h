// Labels from probabilities that follow the edges of the image.
#pragma once

#include <vector>

#include "medseg/infer/probability_spool.h"

namespace medseg {

/// Refines the probability of every structure in `spool` against the rest by refineProbability() (imaging/crf.h), in
/// the box around it, one structure at a time, and chooses labels anew: with `thresholds` (one a structure) the most
/// probable of the structures that reach theirs, without (softmax) the most probable including what is left for the
/// background. image: HU. The result has its geometry.
LabelMap refineLabels(const Volume<float>& image, const ProbabilitySpool& spool, const LabelTable& labels,
                      const std::vector<double>& thresholds);

}  // namespace medseg
