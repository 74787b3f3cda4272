#include "medseg/report/axis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace medseg {
namespace {

constexpr double kRoundingSlack = 1e-9;

/// The round step (1, 2 or 5 times a power of ten) that is not smaller than `step`.
double roundStepUp(double step) {
    const double power = std::pow(10, std::floor(std::log10(step)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (step <= factor * power * (1 + kRoundingSlack)) return factor * power;
    return 10 * power;
}

double stepFor(double low, double high, int maxCount, bool integers) {
    const double step = roundStepUp((high - low) / std::max(1, maxCount - 1));
    return integers ? std::max(1.0, step) : step;
}

std::string tickLabel(double value, double step) {
    if (std::abs(value) < step * kRoundingSlack) value = 0;
    const double largest = std::max(std::abs(value), step);
    if (largest >= 1e6 || step < 1e-4) return value == 0 ? "0" : fmt::format("{:.3g}", value);
    const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + kRoundingSlack)));
    return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::vector<Tick> niceTicks(double low, double high, int maxCount, bool integers) {
    const double step = stepFor(low, high, maxCount, integers);
    const auto first = static_cast<std::int64_t>(std::ceil(low / step - kRoundingSlack));
    const auto last = static_cast<std::int64_t>(std::floor(high / step + kRoundingSlack));
    std::vector<Tick> ticks;
    for (std::int64_t i = first; i <= last; ++i) {
        const double value = static_cast<double>(i) * step;
        ticks.push_back({value, tickLabel(value, step)});
    }
    return ticks;
}

std::vector<Tick> logarithmicTicks(double low, double high, int maxCount) {
    const auto collect = [&](const std::vector<double>& factors, int decades) {
        std::vector<Tick> ticks;
        const int last = static_cast<int>(std::floor(std::log10(high) + kRoundingSlack));
        for (int exponent = static_cast<int>(std::floor(std::log10(low))); exponent <= last; ++exponent) {
            if (exponent % decades != 0) continue;
            for (const double factor : factors) {
                const double value = factor * std::pow(10, exponent);
                if (value < low * (1 - kRoundingSlack) || value > high * (1 + kRoundingSlack)) continue;
                ticks.push_back({value, formatShort(value)});
            }
        }
        return ticks;
    };
    std::vector<Tick> ticks = collect({1, 2, 5}, 1);
    if (static_cast<int>(ticks.size()) <= maxCount) return ticks;
    for (int decades = 1;; ++decades) {
        ticks = collect({1}, decades);
        if (static_cast<int>(ticks.size()) <= maxCount) return ticks;
    }
}

AxisScale::AxisScale(const Axis& axis, double dataLow, double dataHigh, int maxTicks) : logarithmic_(axis.logarithmic) {
    const bool known = std::isfinite(dataLow) && std::isfinite(dataHigh);
    low_ = axis.min.value_or(known ? dataLow : logarithmic_ ? 0.1 : 0);
    high_ = axis.max.value_or(known ? dataHigh : 1);
    if (logarithmic_) {
        low_ = std::max(low_, 1e-300);
        if (!(high_ > low_)) {
            if (!axis.min) low_ /= 2;
            high_ = 4 * low_;
        }
        // A little air, so that the extremes do not lie on the frame.
        if (!axis.min) low_ /= std::pow(high_ / low_, 0.06);
        if (!axis.max) high_ *= std::pow(high_ / low_, 0.06);
        ticks_ = logarithmicTicks(low_, high_, maxTicks);
        return;
    }
    if (!(high_ > low_)) {
        const double air = low_ != 0 ? std::abs(low_) / 2 : 0.5;
        if (!axis.min) low_ -= air;
        if (!axis.max || high_ <= low_) high_ = std::max(high_, low_ + 2 * air);
    }
    const double step = stepFor(low_, high_, maxTicks, axis.integers);
    if (!axis.min) low_ = std::floor(low_ / step + kRoundingSlack) * step;
    if (!axis.max) high_ = std::ceil(high_ / step - kRoundingSlack) * step;
    ticks_ = niceTicks(low_, high_, maxTicks + 1, axis.integers);
}

double AxisScale::fraction(double value) const {
    if (!logarithmic_) return (value - low_) / (high_ - low_);
    if (!(value > 0)) return std::numeric_limits<double>::quiet_NaN();
    return std::log(value / low_) / std::log(high_ / low_);
}

void DataRange::add(const std::vector<double>& values, bool positiveOnly) {
    for (const double value : values) {
        if (!std::isfinite(value) || (positiveOnly && !(value > 0))) continue;
        low = std::isnan(low) ? value : std::min(low, value);
        high = std::isnan(high) ? value : std::max(high, value);
    }
}

std::string formatShort(double value) {
    if (std::isnan(value)) return "n/a";
    if (std::isinf(value)) return value > 0 ? "∞" : "-∞";
    const double size = std::abs(value);
    if (size == 0) return "0";
    if (size < 1e-3 || size >= 1e6) return fmt::format("{:.3g}", value);
    return fmt::format("{:.4g}", value);
}

}  // namespace medseg
