#include "medseg/nn/fused_segmentation_loss.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>

#include "medseg/nn/focal_pixel.h"
#include "medseg/nn/overlap_term.h"
#include "medseg/nn/pixel_targets.h"
#include "medseg/nn/vector_exp.h"

namespace medseg {
namespace {

/// Options as the loops over pixels need them, with one weight a channel.
struct PixelLoss {
    bool focal, squared, weighted;
    float gamma;
    std::vector<float> weight;          ///< of targets, by channel
    std::vector<float> negativeWeight;  ///< focal with sigmoid: of pixels outside the structure

    PixelLoss(const SegmentationLossOptions& options, std::int64_t channels)
        : focal(options.focalGamma >= 0),
          squared(options.squared && options.overlap == OverlapForm::Dice),
          weighted(!options.classWeights.empty()),
          gamma(static_cast<float>(options.focalGamma)),
          weight(options.classWeights) {
        if (weight.empty()) weight.assign(channels, 1.0F);
        TORCH_CHECK(static_cast<std::int64_t>(weight.size()) == channels, "one class weight a channel is needed");
        if (!focal) return;
        negativeWeight = weight;
        if (options.focalAlpha < 0) return;
        const auto alpha = static_cast<float>(options.focalAlpha);
        for (std::int64_t c = 0; c < channels; ++c) {
            const bool background = options.output == OutputKind::Softmax && c == 0;
            weight[c] *= background ? 1 - alpha : alpha;
            negativeWeight[c] *= 1 - alpha;
        }
    }
};

/// What a forward pass over some rows adds up.
struct PassSums {
    ClassSums classes;
    double crossEntropy = 0;
    double weight = 0;  ///< pixels that count; CE with class weights: their weights
    explicit PassSums(std::size_t channels) : classes(channels) {}
};

/// Probabilities of one pixel; returns its softplus sum (sigmoid). Products of up to 120 factors below 2 fit a float,
/// so one logarithm serves that many channels.
double sigmoidPixel(const float* x, float* p, std::int64_t channels) {
    constexpr std::int64_t kFactors = 120;
    double softplus = 0;
    for (std::int64_t begin = 0; begin < channels; begin += kFactors) {
        const std::int64_t end = std::min(channels, begin + kFactors);
        float product = 1, positive = 0;
#pragma GCC ivdep
        for (std::int64_t c = begin; c < end; ++c) {
            const float e = vectorExp(-std::abs(x[c]));
            const float inverse = 1.0f / (1.0f + e);
            p[c] = x[c] >= 0 ? inverse : e * inverse;
        }
#pragma omp simd reduction(* : product) reduction(+ : positive)
        for (std::int64_t c = begin; c < end; ++c) {
            product *= std::max(p[c], 1.0f - p[c]);
            positive += std::max(x[c], 0.0f);
        }
        softplus += positive - std::log(static_cast<double>(product));
    }
    return softplus;
}

/// Probabilities of one pixel; returns log(sum(exp(x))).
double softmaxPixel(const float* x, float* p, std::int64_t channels) {
    float highest = x[0];
#pragma omp simd reduction(max : highest)
    for (std::int64_t c = 0; c < channels; ++c) highest = std::max(highest, x[c]);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < channels; ++c) {
        p[c] = vectorExp(x[c] - highest);
        sum += p[c];
    }
    const float inverse = 1.0f / sum;
    for (std::int64_t c = 0; c < channels; ++c) p[c] *= inverse;
    return highest + std::log(static_cast<double>(sum));
}

/// The pixel's cross entropy over all channels as if it had no target; the probabilities go to `p`.
double pixelWithoutTarget(const float* x, float* p, const PixelLoss& loss, bool sigmoid, std::int64_t channels) {
    if (!sigmoid) return softmaxPixel(x, p, channels);
    if (loss.focal) return focalNegatives(x, p, loss.negativeWeight.data(), loss.gamma, channels);
    return sigmoidPixel(x, p, channels);
}

/// What changes in the cross entropy because the pixel belongs to `channel`; `base` is pixelWithoutTarget().
double targetChange(double x, double p, double base, const PixelLoss& loss, bool sigmoid, std::int64_t channel) {
    const double weight = loss.weight[channel];
    if (sigmoid) {
        if (loss.focal) return focalTargetChange(x, loss.gamma, weight, loss.negativeWeight[channel]).value;
        return loss.weighted ? (weight - 1) * softplus(-x) - x : -x;
    }
    if (loss.focal) return weight * std::pow(std::max(0.0, 1 - p), loss.gamma) * (base - x) - base;
    return loss.weighted ? weight * (base - x) - base : -x;
}

/// Forward pass over one image row: fills `p`, adds to `sums`.
template <typename LabelType>
void forwardRow(const float* x, float* p, const Targets<LabelType>& targets, const PixelLoss& loss, std::int64_t row,
                PassSums& sums) {
    const BatchLayout& layout = targets.layout;
    const std::int64_t channels = layout.channels;
    const std::int64_t image = row / layout.height;
    const std::int64_t firstPixel = (row % layout.height) * layout.width;
    const bool sigmoid = targets.output == OutputKind::Sigmoid;
    const bool weightSum = loss.weighted && !sigmoid && !loss.focal;
    std::vector<float> rowProbability(channels, 0.0f);
    double crossEntropy = 0;
    for (std::int64_t column = 0; column < layout.width; ++column, x += channels, p += channels) {
        if (targets.ignored(image, firstPixel + column)) {
            std::fill(p, p + channels, 0.0f);
            continue;
        }
        const double base = pixelWithoutTarget(x, p, loss, sigmoid, channels);
        crossEntropy += base;
        double pixelWeight = 1;
        if (loss.squared)
            for (std::int64_t c = 0; c < channels; ++c) rowProbability[c] += p[c] * p[c];
        else
            for (std::int64_t c = 0; c < channels; ++c) rowProbability[c] += p[c];
        targets.forEach(image, firstPixel + column, [&](std::int64_t channel) {
            crossEntropy += targetChange(x[channel], p[channel], base, loss, sigmoid, channel);
            sums.classes.intersection[channel] += p[channel];
            sums.classes.reference[channel] += 1;
            pixelWeight = loss.weight[channel];
        });
        sums.weight += weightSum ? pixelWeight : 1;
    }
    for (std::int64_t c = 0; c < channels; ++c) sums.classes.probability[c] += rowProbability[c];
    sums.crossEntropy += crossEntropy;
}

struct Hit {
    std::int64_t channel;
    float probability, logit;
};

/// Turns the probabilities of one sigmoid pixel into the gradient of its logits, in place.
void backwardSigmoid(const float* x, float* p, std::int64_t channels, const Hit* hits, std::size_t count,
                     const PixelLoss& loss, const OverlapTerm& overlap, float scale) {
    if (loss.focal) {
        focalGradient(x, p, loss.negativeWeight.data(), loss.gamma, scale, overlap.constant.data(), loss.squared,
                      channels);
    } else if (loss.squared) {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < channels; ++c)
            p[c] = p[c] * (scale + 2.0f * p[c] * overlap.constant[c] * (1.0f - p[c]));
    } else {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < channels; ++c) p[c] = p[c] * (scale + overlap.constant[c] * (1.0f - p[c]));
    }
    for (std::size_t h = 0; h < count; ++h) {
        const auto [channel, probability, logit] = hits[h];
        const float slope = probability * (1.0f - probability);
        float change = -1.0f;  // the derivative of targetChange()
        if (loss.focal)
            change = static_cast<float>(
                focalTargetChange(logit, loss.gamma, loss.weight[channel], loss.negativeWeight[channel]).slope);
        else if (loss.weighted)
            change = (loss.weight[channel] - 1.0f) * (probability - 1.0f) - 1.0f;
        p[channel] += slope * overlap.onTarget[channel] + scale * change;
    }
}

/// The same for a softmax pixel, which has at most one target.
void backwardSoftmax(float* p, std::int64_t channels, const Hit* hits, std::size_t count, const PixelLoss& loss,
                     const OverlapTerm& overlap, float scale) {
    if (count > 0 && loss.focal) {
        const double q = hits[0].probability, rest = std::max(0.0, 1 - q);
        const double logQ = std::log(std::max(q, 1e-38)), power = std::pow(rest, loss.gamma);
        const double slope = rest > 0 ? loss.gamma * power / rest * q * logQ : 0;
        scale *= static_cast<float>(loss.weight[hits[0].channel] * (power - slope));
    } else if (count > 0) {
        scale *= loss.weight[hits[0].channel];
    }
    float mean = 0;  // sum_j p_j dL/dp_j
    if (loss.squared) {
#pragma omp simd reduction(+ : mean)
        for (std::int64_t c = 0; c < channels; ++c) mean += 2.0f * p[c] * p[c] * overlap.constant[c];
    } else {
#pragma omp simd reduction(+ : mean)
        for (std::int64_t c = 0; c < channels; ++c) mean += p[c] * overlap.constant[c];
    }
    for (std::size_t h = 0; h < count; ++h) mean += hits[h].probability * overlap.onTarget[hits[h].channel];
    if (loss.squared) {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < channels; ++c) p[c] = p[c] * (scale + 2.0f * p[c] * overlap.constant[c] - mean);
    } else {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < channels; ++c) p[c] = p[c] * (scale + overlap.constant[c] - mean);
    }
    for (std::size_t h = 0; h < count; ++h)
        p[hits[h].channel] += hits[h].probability * overlap.onTarget[hits[h].channel] - scale;
}

template <typename LabelType>
void backwardRow(const float* x, float* p, const Targets<LabelType>& targets, const PixelLoss& loss, std::int64_t row,
                 const OverlapTerm& overlap, float scale) {
    const BatchLayout& layout = targets.layout;
    const std::int64_t channels = layout.channels;
    const std::int64_t image = row / layout.height;
    const std::int64_t firstPixel = (row % layout.height) * layout.width;
    for (std::int64_t column = 0; column < layout.width; ++column, x += channels, p += channels) {
        if (targets.ignored(image, firstPixel + column)) continue;  // the forward pass left zeros
        // Gradients of target channels need their probability, which the dense loops overwrite.
        std::array<Hit, 8> hits;
        std::size_t count = 0;
        targets.forEach(image, firstPixel + column, [&](std::int64_t channel) {
            if (count < hits.size()) hits[count++] = {channel, p[channel], x[channel]};
        });
        if (targets.output == OutputKind::Softmax)
            backwardSoftmax(p, channels, hits.data(), count, loss, overlap, scale);
        else
            backwardSigmoid(x, p, channels, hits.data(), count, loss, overlap, scale);
    }
}

class FusedSegmentationLoss : public torch::autograd::Function<FusedSegmentationLoss> {
  public:
    static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& logits,
                                 const torch::Tensor& labels, const SegmentationLossOptions& options) {
        const BatchLayout layout = BatchLayout::of(logits, labels);
        const PixelLoss pixelLoss(options, layout.channels);
        const auto x = logits.contiguous(torch::MemoryFormat::ChannelsLast);
        const auto ids = labels.contiguous();
        auto probability = torch::empty_like(x, torch::MemoryFormat::ChannelsLast);
        const float* source = x.data_ptr<float>();
        float* target = probability.data_ptr<float>();
        const std::int64_t rowSize = layout.width * layout.channels;
        std::vector<PassSums> images(layout.batch, PassSums(static_cast<std::size_t>(layout.channels)));
        withTargets(ids, layout, options.output, options.ignoreLabel, [&](const auto& targets) {
            at::parallel_for(0, layout.batch, 1, [&](std::int64_t first, std::int64_t last) {
                for (std::int64_t image = first; image < last; ++image)
                    for (std::int64_t row = image * layout.height; row < (image + 1) * layout.height; ++row)
                        forwardRow(source + row * rowSize, target + row * rowSize, targets, pixelLoss, row,
                                   images[image]);
            });
        });
        double crossEntropy = 0, weight = 0;
        for (const PassSums& sums : images) {
            crossEntropy += sums.crossEntropy;
            weight += sums.weight;
        }
        const bool everyElement = options.output == OutputKind::Sigmoid || pixelLoss.focal;
        const double terms = everyElement ? weight * static_cast<double>(layout.channels) : weight;
        const double scale = terms > 0 ? options.crossEntropyWeight / terms : 0;
        const std::vector<OverlapTerm> overlap = overlapTerms(groupsOf(images, options.perImage), options);
        double loss = crossEntropy * scale;
        for (const OverlapTerm& term : overlap) loss += term.loss;
        // The probabilities become the gradient in place: no third tensor of this size.
        withTargets(ids, layout, options.output, options.ignoreLabel, [&](const auto& targets) {
            at::parallel_for(0, layout.rows(), 4, [&](std::int64_t first, std::int64_t last) {
                for (std::int64_t row = first; row < last; ++row)
                    backwardRow(source + row * rowSize, target + row * rowSize, targets, pixelLoss, row,
                                overlap[options.perImage ? row / layout.height : 0], static_cast<float>(scale));
            });
        });
        context->save_for_backward({probability});
        return torch::full({}, loss, logits.options());
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list gradients) {
        torch::Tensor gradient = context->get_saved_variables()[0];
        const float scale = gradients[0].item<float>();
        if (scale != 1.0f) gradient = gradient * scale;
        return {gradient, torch::Tensor(), torch::Tensor()};
    }

  private:
    static std::vector<ClassSums> groupsOf(const std::vector<PassSums>& images, bool perImage) {
        std::vector<ClassSums> groups;
        for (const PassSums& image : images) {
            if (perImage || groups.empty()) groups.emplace_back(image.classes.reference.size());
            groups.back().add(image.classes);
        }
        return groups;
    }
};

}  // namespace

torch::Tensor fusedSegmentationLoss(const torch::Tensor& logits, const torch::Tensor& labels,
                                    const SegmentationLossOptions& options) {
    return FusedSegmentationLoss::apply(logits, labels, options);
}

}  // namespace medseg
