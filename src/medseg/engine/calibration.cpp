#include "medseg/engine/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace medseg {

RangeCalibration::RangeCalibration(const Graph& graph, std::int64_t batch, std::int64_t height, std::int64_t width)
    : plan_(graph, Precision::Fp32, batch, height, width),
      logits_(static_cast<std::size_t>(batch * height * width * graph.values[graph.output()].channels)) {}

void RangeCalibration::measure(const float* images) {
    plan_.run(images, logits_.data(), [&](const GraphValue& value, std::span<const float> values) {
        Statistics& statistics = statistics_[value.name];
        statistics.nonNegative = value.nonNegative;
        for (const float v : values) statistics.largest = std::max(statistics.largest, std::abs(v));
    });
}

void RangeCalibration::refine(const float* images) {
    plan_.run(images, logits_.data(), [&](const GraphValue& value, std::span<const float> values) {
        Statistics& statistics = statistics_[value.name];
        const float scale = statistics.largest > 0 ? static_cast<float>(kBins) / statistics.largest : 0;
        for (const float v : values) {
            const auto bin = static_cast<std::size_t>(std::abs(v) * scale);
            ++statistics.histogram[std::min(bin, kBins - 1)];
        }
    });
}

float RangeCalibration::leastErrorRange(const Statistics& statistics) {
    const double width = statistics.largest / static_cast<double>(kBins);
    const double steps = statistics.nonNegative ? 255 : 127;
    double bestError = std::numeric_limits<double>::infinity();
    std::size_t best = kBins;
    for (std::size_t bins = kBins / 16; bins <= kBins; bins += kBins / 128) {
        const double range = static_cast<double>(bins) * width, step = range / steps;
        double error = 0;
        // Zeros are exact whatever the step: the first bin, mostly zeros after a ReLU, does not count.
        for (std::size_t b = 1; b < kBins; ++b) {
            const double beyond = std::max(0.0, (static_cast<double>(b) + 0.5) * width - range);
            error += statistics.histogram[b] * (beyond > 0 ? beyond * beyond : step * step / 12);
        }
        if (error < bestError) {
            bestError = error;
            best = bins;
        }
    }
    return static_cast<float>(static_cast<double>(best) * width);
}

ActivationRanges RangeCalibration::ranges() const {
    ActivationRanges ranges;
    for (const auto& [name, statistics] : statistics_) ranges[name] = leastErrorRange(statistics);
    return ranges;
}

}  // namespace medseg
