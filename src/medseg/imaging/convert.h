// Conversion of computed values to the type of an image.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

namespace medseg {

/// Floating point types: a cast. Integers: rounded half away from zero and clamped to the type's range; NaN gives 0.
template <typename Out>
Out convertValue(double value) {
    if constexpr (std::is_floating_point_v<Out>) {
        return static_cast<Out>(value);
    } else {
        constexpr auto low = static_cast<double>(std::numeric_limits<Out>::min());
        constexpr auto high = static_cast<double>(std::numeric_limits<Out>::max());
        const double rounded = std::trunc(value + std::copysign(0.5, value));
        if (!(rounded > low)) return rounded == rounded ? std::numeric_limits<Out>::min() : Out{0};
        return rounded >= high ? std::numeric_limits<Out>::max() : static_cast<Out>(rounded);
    }
}

}  // namespace medseg
