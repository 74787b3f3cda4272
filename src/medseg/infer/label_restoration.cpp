#include "medseg/infer/label_restoration.h"

#include <algorithm>
#include <cmath>

#include "medseg/imaging/resize2d.h"

namespace medseg {
namespace {

/// Each channel's largest value.
std::vector<float> highestOf(const float* values, std::int64_t pixels, std::int64_t channels) {
    std::vector<float> highest(static_cast<std::size_t>(channels), 0.0f);
    for (std::int64_t i = 0; i < pixels; ++i)
        for (std::int64_t c = 0; c < channels; ++c) highest[c] = std::max(highest[c], values[i * channels + c]);
    return highest;
}

}  // namespace

void LabelRestorer::restore(const float* probability, std::int64_t height, std::int64_t width, std::int64_t channels,
                            SliceView<std::uint16_t> labels, const PlaneSink& planes) const {
    const bool sigmoid = output_ == OutputKind::Sigmoid;
    const std::int64_t pixels = height * width;
    const std::vector<float> highest = highestOf(probability, pixels, channels);

    std::vector<float> plane(static_cast<std::size_t>(pixels));
    std::vector<float> resized(static_cast<std::size_t>(labels.width * labels.height));
    std::vector<float> best(resized.size(), -1.0f);
    const SliceView<const float> from{plane.data(), width, height, width};
    const SliceView<float> to{resized.data(), labels.width, labels.height, labels.width};
    for (std::int64_t y = 0; y < labels.height; ++y) std::fill_n(labels.row(y), labels.width, std::uint16_t{0});

    for (std::int64_t c = 0; c < channels; ++c) {
        const int structure = static_cast<int>(sigmoid ? c + 1 : c);
        const double threshold = sigmoid ? thresholds_[static_cast<std::size_t>(c)] : 0.5;
        const auto reported = static_cast<float>(threshold / 2);
        // Softmax: the winner has at least 1/channels, so a structure that never reaches that cannot win.
        const auto canWin = static_cast<float>(sigmoid ? threshold : 1.0 / static_cast<double>(channels));
        const bool wanted = planes && structure > 0 && highest[c] >= reported;
        if (highest[c] < canWin && !wanted) continue;
        for (std::int64_t i = 0; i < pixels; ++i) plane[i] = probability[i * channels + c];
        resizeBilinear(from, to);
        if (wanted) planes(structure, resized.data());
        for (std::int64_t y = 0; y < labels.height; ++y) {
            std::uint16_t* row = labels.row(y);
            const float* value = resized.data() + y * labels.width;
            float* strongest = best.data() + y * labels.width;
            for (std::int64_t x = 0; x < labels.width; ++x)
                if (value[x] > strongest[x] && (!sigmoid || value[x] >= canWin)) {
                    strongest[x] = value[x];
                    row[x] = static_cast<std::uint16_t>(structure);
                }
        }
    }
}

}  // namespace medseg
