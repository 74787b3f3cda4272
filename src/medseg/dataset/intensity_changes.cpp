#include "medseg/dataset/intensity_changes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace medseg {
namespace {

/// Inverse of the normal distribution function, by Newton's method on erfc.
double normalQuantile(double probability) {
    double x = 0;
    for (int step = 0; step < 60; ++step) {
        const double value = 0.5 * std::erfc(-x / std::numbers::sqrt2) - probability;
        const double slope = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
        x -= std::clamp(value / slope, -0.5, 0.5);
    }
    return x;
}

constexpr int kLevelBits = 12, kLevels = 1 << kLevelBits, kLevelsPerDraw = 64 / kLevelBits;

/// Quantiles in the middle of 4096 equally likely intervals, scaled to variance 1.
const std::array<float, kLevels>& normalLevels() {
    static const std::array<float, kLevels> levels = [] {
        std::array<double, kLevels> exact{};
        double squares = 0;
        for (int i = 0; i < kLevels; ++i) {
            exact[static_cast<std::size_t>(i)] = normalQuantile((i + 0.5) / kLevels);
            squares += exact[static_cast<std::size_t>(i)] * exact[static_cast<std::size_t>(i)];
        }
        std::array<float, kLevels> scaled{};
        const double scale = 1 / std::sqrt(squares / kLevels);
        for (std::size_t i = 0; i < kLevels; ++i) scaled[i] = static_cast<float>(exact[i] * scale);
        return scaled;
    }();
    return levels;
}

/// Sum in the same order on every machine: sixteen partial sums.
double sumOf(std::span<const float> values) {
    std::array<float, 16> lanes{};
    double sum = 0;
    std::size_t i = 0;
    while (i + 16 <= values.size()) {
        // Short runs in float, then double: exact enough and fast.
        const std::size_t end = std::min(values.size() / 16 * 16, i + 1024);
        lanes.fill(0);
        for (; i < end; i += 16)
            for (std::size_t k = 0; k < 16; ++k) lanes[k] += values[i + k];
        for (const float lane : lanes) sum += lane;
    }
    for (; i < values.size(); ++i) sum += values[i];
    return sum;
}

std::vector<float> gaussianTaps(double sigma) {
    const int radius = std::max(1, static_cast<int>(std::ceil(3 * sigma)));
    std::vector<double> exact;
    double sum = 0;
    for (int i = -radius; i <= radius; ++i) {
        exact.push_back(std::exp(-0.5 * i * i / (sigma * sigma)));
        sum += exact.back();
    }
    std::vector<float> taps;
    for (const double value : exact) taps.push_back(static_cast<float>(value / sum));
    return taps;
}

/// Position in a line of `from` samples for sample `i` of `to`, pixel centres aligned; clamped to the line.
double alignedPosition(std::int64_t i, std::int64_t to, std::int64_t from) {
    const double position = (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    return std::clamp(position, 0.0, static_cast<double>(from - 1));
}

}  // namespace

void applyGamma(std::span<float> values, double gamma) {
    if (gamma == 1) return;
    // A table over the square root of the value, in which v^gamma is smooth also near 0.
    constexpr int kSteps = 2048;
    std::array<float, kSteps + 2> table;
    for (int i = 0; i <= kSteps + 1; ++i)
        table[static_cast<std::size_t>(i)] = static_cast<float>(std::pow(static_cast<double>(i) / kSteps, 2 * gamma));
    const float* entries = table.data();
#pragma GCC ivdep
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float value = values[i];
        const float place = std::sqrt(std::min(std::max(value, 0.0F), 1.0F)) * kSteps;
        const auto index = static_cast<std::int32_t>(place);
        const float changed =
            entries[index] + (place - static_cast<float>(index)) * (entries[index + 1] - entries[index]);
        values[i] = value < 0 ? value : changed;
    }
}

void addNoise(std::span<float> values, double sigma, Random& random) {
    const float* levels = normalLevels().data();
    const auto scale = static_cast<float>(sigma);
    for (std::size_t i = 0; i < values.size();) {
        std::uint64_t bits = random.next();
        const std::size_t end = std::min(values.size(), i + kLevelsPerDraw);
        for (; i < end; ++i, bits >>= kLevelBits) values[i] += scale * levels[bits & (kLevels - 1)];
    }
}

void applyLinear(std::span<float> values, const LinearChange& change, Random& random) {
    if (values.empty()) return;
    const double mean = sumOf(values) / static_cast<double>(values.size());
    const auto factor = static_cast<float>(change.contrast);
    const auto offset = static_cast<float>(mean - change.contrast * mean + change.shift);
    for (float& value : values) value = factor * value + offset;
    if (change.noise > 0) addNoise(values, change.noise, random);
    for (float& value : values) value = std::min(std::max(value, 0.0F), 1.0F);
}

void blurPlane(float* plane, std::int64_t height, std::int64_t width, double sigma) {
    if (!(sigma > 0) || height < 1 || width < 1) return;
    const std::vector<float> taps = gaussianTaps(sigma);
    const auto radius = static_cast<std::int64_t>(taps.size() / 2);
    thread_local std::vector<float> kept, line;
    kept.assign(plane, plane + height * width);
    line.resize(static_cast<std::size_t>(width + 2 * radius));
    for (std::int64_t row = 0; row < height; ++row) {
        // Down the columns into a line with repeated ends, then along it.
        float* middle = line.data() + radius;
        std::fill_n(middle, width, 0.0F);
        for (std::int64_t k = -radius; k <= radius; ++k) {
            const float* source = kept.data() + std::clamp<std::int64_t>(row + k, 0, height - 1) * width;
            const float tap = taps[static_cast<std::size_t>(k + radius)];
            for (std::int64_t i = 0; i < width; ++i) middle[i] += tap * source[i];
        }
        std::fill_n(line.data(), radius, middle[0]);
        std::fill_n(middle + width, radius, middle[width - 1]);
        float* out = plane + row * width;
        std::fill_n(out, width, 0.0F);
        for (std::int64_t k = 0; k <= 2 * radius; ++k) {
            const float tap = taps[static_cast<std::size_t>(k)];
            const float* source = line.data() + k;
            for (std::int64_t i = 0; i < width; ++i) out[i] += tap * source[i];
        }
    }
}

void lowerResolution(float* plane, std::int64_t height, std::int64_t width, double factor) {
    const auto lowHeight = std::max<std::int64_t>(1, std::llround(factor * static_cast<double>(height)));
    const auto lowWidth = std::max<std::int64_t>(1, std::llround(factor * static_cast<double>(width)));
    if (lowHeight >= height && lowWidth >= width) return;
    thread_local std::vector<float> low, upper;
    low.resize(static_cast<std::size_t>(lowHeight * lowWidth));
    for (std::int64_t row = 0; row < lowHeight; ++row) {
        const float* source = plane + std::llround(alignedPosition(row, lowHeight, height)) * width;
        for (std::int64_t column = 0; column < lowWidth; ++column)
            low[static_cast<std::size_t>(row * lowWidth + column)] =
                source[std::llround(alignedPosition(column, lowWidth, width))];
    }
    // Between the low lines first (short), then between the columns.
    std::vector<std::int32_t> left(static_cast<std::size_t>(width));
    std::vector<float> share(static_cast<std::size_t>(width));
    for (std::int64_t column = 0; column < width; ++column) {
        const double position = alignedPosition(column, width, lowWidth);
        const auto first =
            std::min<std::int64_t>(static_cast<std::int64_t>(position), std::max<std::int64_t>(0, lowWidth - 2));
        left[static_cast<std::size_t>(column)] = static_cast<std::int32_t>(first);
        share[static_cast<std::size_t>(column)] = static_cast<float>(position - static_cast<double>(first));
    }
    upper.resize(static_cast<std::size_t>(lowWidth + 1));
    for (std::int64_t row = 0; row < height; ++row) {
        const double position = alignedPosition(row, height, lowHeight);
        const auto first = static_cast<std::int64_t>(position);
        const auto second = std::min(first + 1, lowHeight - 1);
        const auto t = static_cast<float>(position - static_cast<double>(first));
        const float *a = low.data() + first * lowWidth, *b = low.data() + second * lowWidth;
        for (std::int64_t i = 0; i < lowWidth; ++i) upper[static_cast<std::size_t>(i)] = a[i] + t * (b[i] - a[i]);
        upper[static_cast<std::size_t>(lowWidth)] = upper[static_cast<std::size_t>(lowWidth - 1)];
        float* out = plane + row * width;
        const float* line = upper.data();
        for (std::int64_t i = 0; i < width; ++i) {
            const std::int32_t at = left[static_cast<std::size_t>(i)];
            out[i] = line[at] + share[static_cast<std::size_t>(i)] * (line[at + 1] - line[at]);
        }
    }
}

}  // namespace medseg
