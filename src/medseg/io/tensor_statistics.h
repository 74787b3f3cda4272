// Numbers that tell whether weights are sane.
#pragma once

#include <cstdint>

#include "medseg/io/tensor_record.h"

namespace medseg {

struct TensorStatistics {
    std::int64_t count = 0;  ///< elements
    std::int64_t nan = 0;
    std::int64_t infinite = 0;
    /// Of the finite elements; all 0 when there are none.
    double min = 0;
    double max = 0;
    double mean = 0;
    double standardDeviation = 0;  ///< of the population

    bool hasFinite() const { return count > nan + infinite; }
};

/// True if statistics exist for this type (real numbers of 8 bits integer, or 16 bits and more).
bool hasStatistics(TensorDtype dtype);

/// Reads every element once. Throws DataError for complex and 8-bit floating types.
TensorStatistics computeStatistics(const TensorRecord& tensor);

}  // namespace medseg
