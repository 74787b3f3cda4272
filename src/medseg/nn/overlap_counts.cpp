#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>

#include "medseg/nn/pixel_targets.h"

namespace medseg {
namespace {

/// Counts of one image: intersection, predicted, reference for each structure.
template <typename LabelType>
void countImage(const float* values, const Targets<LabelType>& targets, std::int64_t image, float limit,
                std::vector<std::int64_t>& sums) {
    const BatchLayout& layout = targets.layout;
    const bool sigmoid = targets.output == OutputKind::Sigmoid;
    for (std::int64_t pixel = 0; pixel < layout.height * layout.width; ++pixel, values += layout.channels) {
        if (targets.ignored(image, pixel)) continue;
        std::int64_t strongest = 0;
        if (sigmoid) {
            for (std::int64_t c = 0; c < layout.channels; ++c)
                if (values[c] >= limit) ++sums[3 * c + 1];
        } else {
            strongest = std::max_element(values, values + layout.channels) - values;
            if (strongest > 0) ++sums[3 * (strongest - 1) + 1];
        }
        targets.forEach(image, pixel, [&](std::int64_t channel) {
            if (!sigmoid && channel == 0) return;
            const std::int64_t structure = sigmoid ? channel : channel - 1;
            const bool hit = sigmoid ? values[channel] >= limit : strongest == channel;
            if (hit) ++sums[3 * structure];
            ++sums[3 * structure + 2];
        });
    }
}

}  // namespace

void countOverlap(const torch::Tensor& logits, const torch::Tensor& labels, OutputKind output, double threshold,
                  torch::Tensor& counts, int ignoreLabel) {
    if (logits.dim() == 5)
        return countOverlap(logits.flatten(2, 3), labels.flatten(2, 3), output, threshold, counts, ignoreLabel);
    const auto x = logits.detach().to(torch::kCPU, torch::kFloat).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto ids = labels.to(torch::kCPU).contiguous();
    const BatchLayout layout = BatchLayout::of(x, ids);
    const std::int64_t structures = output == OutputKind::Sigmoid ? layout.channels : layout.channels - 1;
    const auto limit = static_cast<float>(std::log(threshold / (1 - threshold)));
    const std::int64_t imageSize = layout.height * layout.width * layout.channels;
    std::vector<std::vector<std::int64_t>> partial(layout.batch, std::vector<std::int64_t>(structures * 3, 0));
    withTargets(ids, layout, output, ignoreLabel, [&](const auto& targets) {
        at::parallel_for(0, layout.batch, 1, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t image = first; image < last; ++image)
                countImage(x.template data_ptr<float>() + image * imageSize, targets, image, limit, partial[image]);
        });
    });
    auto* total = counts.data_ptr<std::int64_t>();
    for (const auto& sums : partial)
        for (std::size_t i = 0; i < sums.size(); ++i) total[i] += sums[i];
}

double meanDice(const torch::Tensor& counts) {
    const auto* c = counts.data_ptr<std::int64_t>();
    double sum = 0;
    std::int64_t counted = 0;
    for (std::int64_t i = 0; i < counts.size(0); ++i) {
        const std::int64_t denominator = c[3 * i + 1] + c[3 * i + 2];
        if (denominator == 0) continue;
        sum += 2.0 * static_cast<double>(c[3 * i]) / static_cast<double>(denominator);
        ++counted;
    }
    return counted > 0 ? sum / static_cast<double>(counted) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace medseg
