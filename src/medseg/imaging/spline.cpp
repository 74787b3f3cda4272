#include "medseg/imaging/spline.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

// Poles inside the unit circle of the direct B-spline filters.
std::vector<double> poles(int order) {
    switch (order) {
        case 2:
            return {std::sqrt(8.0) - 3.0};
        case 3:
            return {std::sqrt(3.0) - 2.0};
        case 4:
            return {std::sqrt(664.0 - std::sqrt(438976.0)) + std::sqrt(304.0) - 19.0,
                    std::sqrt(664.0 + std::sqrt(438976.0)) - std::sqrt(304.0) - 19.0};
        case 5:
            return {std::sqrt(67.5 - std::sqrt(4436.25)) + std::sqrt(26.25) - 6.5,
                    std::sqrt(67.5 + std::sqrt(4436.25)) - std::sqrt(26.25) - 6.5};
        default:
            return {};
    }
}

std::int64_t positiveModulo(std::int64_t a, std::int64_t b) {
    const std::int64_t r = a % b;
    return r < 0 ? r + b : r;
}

// Index of the sample at distance k to the left of the first one, and the period of the extended line.
std::int64_t leftIndex(std::int64_t k, std::int64_t n, LineEnds ends) {
    switch (ends) {
        case LineEnds::Mirror:
            return mapIndex(-k, n, Boundary::Mirror);
        case LineEnds::Reflect:
            return mapIndex(-k, n, Boundary::Reflect);
        default:
            return mapIndex(-k, n, Boundary::GridWrap);
    }
}

std::int64_t period(std::int64_t n, LineEnds ends) {
    switch (ends) {
        case LineEnds::Mirror:
            return 2 * n - 2;
        case LineEnds::Reflect:
            return 2 * n;
        default:
            return n;
    }
}

constexpr std::int64_t kFixedLanes = 8;

// Loops over lanes have a constant length where the caller works on exactly kFixedLanes lines.
template <bool Fixed>
void addScaled(double* out, const double* in, double factor, std::int64_t lanes) {
    const std::int64_t count = Fixed ? kFixedLanes : lanes;
    for (std::int64_t l = 0; l < count; ++l) out[l] += factor * in[l];
}

// Number of terms after which powers of the pole vanish in double precision, at most one period.
std::int64_t termCount(double pole, std::int64_t wholePeriod) {
    const auto needed = static_cast<std::int64_t>(std::ceil(std::log(1e-20) / std::log(std::abs(pole))));
    return std::min(needed, wholePeriod);
}

struct Lines {
    double* data;
    std::int64_t n;
    std::int64_t stride;
    std::int64_t lanes;
    double* row(std::int64_t i) const { return data + i * stride; }
};

template <bool Fixed>
void filterPole(const Lines& lines, double pole, LineEnds ends, std::vector<double>& start) {
    const std::int64_t n = lines.n, lanes = Fixed ? kFixedLanes : lines.lanes, whole = period(n, ends);
    const std::int64_t terms = termCount(pole, whole);
    const double closed = 1.0 / (1.0 - std::pow(pole, static_cast<double>(whole)));
    // Causal start: the sum over the extended line to the left, a geometric series over its periods.
    start.assign(lanes, 0.0);
    double power = 1;
    for (std::int64_t k = 0; k < terms; ++k, power *= pole)
        addScaled<Fixed>(start.data(), lines.row(leftIndex(k, n, ends)), power, lanes);
    for (std::int64_t l = 0; l < lanes; ++l) lines.row(0)[l] = start[l] * closed;
    for (std::int64_t i = 1; i < n; ++i) addScaled<Fixed>(lines.row(i), lines.row(i - 1), pole, lanes);

    double* last = lines.row(n - 1);
    if (ends == LineEnds::Mirror) {
        const double factor = pole / (pole * pole - 1);
        const double* before = lines.row(n - 2);
        for (std::int64_t l = 0; l < lanes; ++l) last[l] = (pole * before[l] + last[l]) * factor;
    } else if (ends == LineEnds::Reflect) {
        const double factor = pole / (pole - 1);
        for (std::int64_t l = 0; l < lanes; ++l) last[l] *= factor;
    } else {
        start.assign(lanes, 0.0);
        power = 1;
        for (std::int64_t k = 0; k < terms; ++k, power *= pole)
            addScaled<Fixed>(start.data(), lines.row(positiveModulo(n - 1 + k, n)), power, lanes);
        for (std::int64_t l = 0; l < lanes; ++l) last[l] = -pole * closed * start[l];
    }
    for (std::int64_t i = n - 2; i >= 0; --i) {
        double* row = lines.row(i);
        const double* next = lines.row(i + 1);
        for (std::int64_t l = 0; l < lanes; ++l) row[l] = pole * (next[l] - row[l]);
    }
}

}  // namespace

Boundary boundaryFromName(const std::string& name) {
    if (name == "nearest" || name == "edge") return Boundary::Nearest;
    if (name == "reflect") return Boundary::Reflect;
    if (name == "mirror") return Boundary::Mirror;
    if (name == "constant") return Boundary::Constant;
    if (name == "grid-constant") return Boundary::GridConstant;
    if (name == "grid-wrap") return Boundary::GridWrap;
    if (name == "wrap") return Boundary::Wrap;
    throw UsageError(fmt::format(
        "unknown boundary '{}': use nearest, reflect, mirror, constant, grid-constant, grid-wrap or wrap", name));
}

double mapCoordinate(double x, std::int64_t n, Boundary boundary) {
    const double last = static_cast<double>(n - 1);
    if (x >= 0 && x <= last) return x;
    if (!std::isfinite(x)) return boundary == Boundary::Nearest ? (x > 0 ? last : 0) : -1;
    if (n == 1 && boundary != Boundary::Constant && boundary != Boundary::GridConstant) return 0;
    switch (boundary) {
        case Boundary::Nearest:
            return x < 0 ? 0 : last;
        case Boundary::Mirror: {
            const double whole = 2 * last;
            x = std::abs(std::fmod(x, whole));
            return x > last ? whole - x : x;
        }
        case Boundary::Reflect: {
            const double whole = 2.0 * static_cast<double>(n);
            x = std::fmod(x + 0.5, whole);
            if (x < 0) x += whole;
            if (x > static_cast<double>(n)) x = whole - x;
            return std::clamp(x - 0.5, -0.5, last + 0.5);
        }
        case Boundary::Wrap: {
            x = std::fmod(x, last);
            return x < 0 ? x + last : x;
        }
        case Boundary::GridWrap: {
            x = std::fmod(x, static_cast<double>(n));
            return x < 0 ? x + static_cast<double>(n) : x;
        }
        default:
            return -1;
    }
}

std::int64_t mapIndex(std::int64_t i, std::int64_t n, Boundary boundary) {
    if (i >= 0 && i < n) return i;
    switch (boundary) {
        case Boundary::Nearest:
            return i < 0 ? 0 : n - 1;
        case Boundary::Mirror: {
            if (n == 1) return 0;
            const std::int64_t r = positiveModulo(i, 2 * n - 2);
            return r < n ? r : 2 * n - 2 - r;
        }
        case Boundary::Reflect: {
            const std::int64_t r = positiveModulo(i, 2 * n);
            return r < n ? r : 2 * n - 1 - r;
        }
        case Boundary::Wrap:
            return n == 1 ? 0 : positiveModulo(i, n - 1);
        case Boundary::GridWrap:
            return positiveModulo(i, n);
        default:
            return -1;
    }
}

std::int64_t splineStart(double x, int order) {
    return static_cast<std::int64_t>(std::floor(order % 2 == 1 ? x : x + 0.5)) - order / 2;
}

SplineWeights splineWeights(double x, int order) {
    const double t = order % 2 == 1 ? x - std::floor(x) : x + 0.5 - std::floor(x + 0.5);
    // Cox-de Boor recursion on uniform knots.
    SplineWeights w{1};
    for (int degree = 1; degree <= order; ++degree) {
        double saved = 0;
        for (int r = 0; r < degree; ++r) {
            const double share = w[r] / degree;
            w[r] = saved + (r + 1 - t) * share;
            saved = (t + degree - r - 1) * share;
        }
        w[degree] = saved;
    }
    return w;
}

LineEnds prefilterEnds(Boundary boundary) {
    switch (boundary) {
        case Boundary::Nearest:
        case Boundary::Reflect:
            return LineEnds::Reflect;
        case Boundary::GridWrap:
            return LineEnds::Periodic;
        default:
            return LineEnds::Mirror;
    }
}

int prefilterPadding(Boundary boundary, int order) {
    return order > 1 && (boundary == Boundary::Nearest || boundary == Boundary::GridConstant) ? 12 : 0;
}

void splinePrefilter(double* data, std::int64_t n, std::int64_t stride, std::int64_t lanes, int order, LineEnds ends) {
    const std::vector<double> filterPoles = poles(order);
    if (n < 2 || filterPoles.empty()) return;
    double gain = 1;
    for (const double pole : filterPoles) gain *= (1 - pole) * (1 - 1 / pole);
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t l = 0; l < lanes; ++l) data[i * stride + l] *= gain;
    std::vector<double> start;
    for (const double pole : filterPoles) {
        if (lanes == kFixedLanes)
            filterPole<true>({data, n, stride, lanes}, pole, ends, start);
        else
            filterPole<false>({data, n, stride, lanes}, pole, ends, start);
    }
}

}  // namespace medseg
