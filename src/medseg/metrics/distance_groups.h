// Counting surface elements by distance and weight.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/metrics/surface.h"

namespace medseg {

/// A hash table of (squared distance, weight class): on a grid only few different distances occur.
class DistanceCounter {
  public:
    explicit DistanceCounter(std::vector<double> classWeights);
    void add(double squaredDistance, int weightClass);
    /// Ascending by (distance, weight).
    std::vector<DistanceGroup> groups() const;

  private:
    struct Slot {
        double square = 0;
        std::int32_t weightClass = -1;  // -1: free
        std::int64_t count = 0;
    };

    Slot& slotFor(double squaredDistance, int weightClass);
    void grow();

    std::vector<double> classWeights_;
    std::vector<Slot> slots_;  // a power of two
    std::size_t used_ = 0;
};

}  // namespace medseg
