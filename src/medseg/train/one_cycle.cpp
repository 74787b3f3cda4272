#include "medseg/train/one_cycle.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace medseg {
namespace {

double cosine(double from, double to, double share) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * share));
}

}  // namespace

double OneCycle::between(double start, double top, double end, std::int64_t step) const {
    const double risen = rise * static_cast<double>(steps) - 1, last = static_cast<double>(steps) - 1;
    const double at = std::min(static_cast<double>(step), last);
    if (at <= risen) return cosine(start, top, risen > 0 ? at / risen : 1.0);
    return cosine(top, end, last > risen ? (at - risen) / (last - risen) : 1.0);
}

double OneCycle::rate(std::int64_t step) const {
    const double first = highestRate / startDivisor;
    return between(first, highestRate, first / endDivisor, step);
}

double OneCycle::momentum(std::int64_t step) const {
    return between(highMomentum, lowMomentum, highMomentum, step);
}

}  // namespace medseg
