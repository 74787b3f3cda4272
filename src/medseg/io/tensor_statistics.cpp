#include "medseg/io/tensor_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "medseg/io/tensor_elements.h"

namespace medseg {

bool hasStatistics(TensorDtype dtype) {
    return dtype != TensorDtype::C64 && dtype != TensorDtype::C128 && dtype != TensorDtype::F8E4M3 &&
           dtype != TensorDtype::F8E5M2;
}

TensorStatistics computeStatistics(const TensorRecord& tensor) {
    TensorStatistics result;
    double min = std::numeric_limits<double>::infinity();
    double max = -min;
    double sum = 0;
    double sumOfSquares = 0;
    double origin = 0;  // the first finite value: squares of differences from it do not cancel
    bool hasOrigin = false;
    forEachElement(tensor, [&](auto element) {
        const auto value = static_cast<double>(element);
        ++result.count;
        if (!std::isfinite(value)) {
            ++(std::isnan(value) ? result.nan : result.infinite);
            return;
        }
        if (!hasOrigin) {
            origin = value;
            hasOrigin = true;
        }
        min = std::min(min, value);
        max = std::max(max, value);
        const double difference = value - origin;
        sum += difference;
        sumOfSquares += difference * difference;
    });
    if (!result.hasFinite()) return result;
    const auto finite = static_cast<double>(result.count - result.nan - result.infinite);
    result.min = min;
    result.max = max;
    result.mean = origin + sum / finite;
    result.standardDeviation = std::sqrt(std::max(0.0, sumOfSquares / finite - (sum / finite) * (sum / finite)));
    return result;
}

}  // namespace medseg
