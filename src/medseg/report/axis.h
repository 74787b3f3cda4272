// Axes of charts: which numbers to print, and where a value lies.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "medseg/report/canvas.h"

namespace medseg {

/// How an axis is wanted. Ends that are not given follow from the data, rounded outwards to a tick.
struct Axis {
    std::string label = std::string();
    std::optional<double> min{};
    std::optional<double> max{};
    bool logarithmic = false;  ///< base 10; values <= 0 are not drawn
    bool integers = false;     ///< ticks at whole numbers only (epochs, counts)
};

struct Tick {
    double value = 0;
    std::string label;
};

/// Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high], at most `maxCount`, at least one step
/// apart 1 when `integers`. Labels share one number of decimals. Needs low < high and maxCount >= 2.
std::vector<Tick> niceTicks(double low, double high, int maxCount, bool integers = false);

/// Powers of ten inside [low, high] (with 2 and 5 times them when there are few). Needs 0 < low < high.
std::vector<Tick> logarithmicTicks(double low, double high, int maxCount);

/// An axis with its ends decided, for values between `dataLow` and `dataHigh` (NaN when there are none).
class AxisScale {
  public:
    AxisScale(const Axis& axis, double dataLow, double dataHigh, int maxTicks);

    double low() const { return low_; }
    double high() const { return high_; }
    const std::vector<Tick>& ticks() const { return ticks_; }
    /// 0 at low(), 1 at high(), linear or logarithmic between, not limited to 0..1. NaN for a value that has no place.
    double fraction(double value) const;

  private:
    double low_ = 0;
    double high_ = 1;
    bool logarithmic_;
    std::vector<Tick> ticks_;
};

/// Smallest and largest finite value of what was added; NaN while there is none.
struct DataRange {
    double low = std::numeric_limits<double>::quiet_NaN();
    double high = std::numeric_limits<double>::quiet_NaN();

    /// Non-finite values are ignored, also values <= 0 when `positiveOnly`.
    void add(const std::vector<double>& values, bool positiveOnly = false);
};

/// A short number for people: "0.913", "12.5", "1200", "3e-05", "n/a" for NaN.
std::string formatShort(double value);

}  // namespace medseg
