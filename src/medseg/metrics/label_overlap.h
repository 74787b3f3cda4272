// Overlap of reference and prediction by label, added up over slices or cases.
#pragma once

#include <map>

#include "medseg/metrics/overlap.h"

namespace medseg {

class LabelOverlap {
  public:
    /// Adds to the counts of `label`; `total` is not kept.
    void add(int label, const OverlapCounts& counts);

    const std::map<int, OverlapCounts>& counts() const { return counts_; }
    /// Means over the labels that reference or prediction show; NaN when there are none.
    double meanDice() const;
    double meanIou() const;

  private:
    std::map<int, OverlapCounts> counts_;
};

}  // namespace medseg
