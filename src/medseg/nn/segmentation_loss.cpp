#include "medseg/nn/segmentation_loss.h"

#include "medseg/nn/fused_segmentation_loss.h"
#include "medseg/nn/pixel_targets.h"

namespace medseg {
namespace {

/// Labels as planes, and which pixels count, on the device of the logits.
struct DenseTargets {
    torch::Tensor planes;  ///< (batch, channels, height, width), 0 or 1; 0 where ignored
    torch::Tensor counts;  ///< (batch, 1, height, width), 0 or 1
};

DenseTargets denseTargets(const torch::Tensor& labels, const torch::Tensor& x, const SegmentationLossOptions& options) {
    auto ids = labels.to(x.device(), torch::kLong);
    if (labels.scalar_type() == torch::kInt16) ids = ids.bitwise_and(0xffff);
    const std::int64_t first = options.output == OutputKind::Sigmoid ? 1 : 0, channels = x.size(1);
    const auto wanted = torch::arange(first, channels + first, ids.options());
    DenseTargets targets;
    targets.counts = options.ignoreLabel >= 0 ? ids.ne(options.ignoreLabel).all(1, true).to(x.scalar_type())
                                              : torch::ones_like(ids.slice(1, 0, 1)).to(x.scalar_type());
    // Layer by layer: one plane set more in memory, not one for each layer.
    auto named = ids.slice(1, 0, 1).eq(wanted.view({1, channels, 1, 1}));
    for (std::int64_t layer = 1; layer < ids.size(1); ++layer)
        named = named.logical_or(ids.slice(1, layer, layer + 1).eq(wanted.view({1, channels, 1, 1})));
    targets.planes = named.to(x.scalar_type()) * targets.counts;
    return targets;
}

torch::Tensor crossEntropyTerm(const torch::Tensor& x, const DenseTargets& targets, const torch::Tensor& weight,
                               const SegmentationLossOptions& options) {
    const auto& t = targets.planes;
    const bool focal = options.focalGamma >= 0, sigmoid = options.output == OutputKind::Sigmoid;
    const auto elements = (targets.counts.sum() * x.size(1)).clamp_min(1);
    if (sigmoid && !focal) {
        const auto each = torch::softplus(x) + t * ((weight - 1) * torch::softplus(-x) - x);
        return (each * targets.counts).sum() / elements;
    }
    if (sigmoid) {
        auto winning = torch::exp(options.focalGamma * torch::log_sigmoid(-x)) * torch::softplus(-x) * t;
        auto losing = torch::exp(options.focalGamma * torch::log_sigmoid(x)) * torch::softplus(x) * (1 - t);
        if (options.focalAlpha >= 0) {
            winning = winning * options.focalAlpha;
            losing = losing * (1 - options.focalAlpha);
        }
        return (weight * (winning + losing) * targets.counts).sum() / elements;
    }
    const auto logarithm = torch::log_softmax(x, 1);
    if (!focal) return -(weight * logarithm * t).sum() / (weight * t).sum().clamp_min(1e-30);
    auto each = -(1 - logarithm.exp()).clamp_min(0).pow(options.focalGamma) * logarithm * t * weight;
    if (options.focalAlpha >= 0) {
        auto alpha = torch::full_like(weight, options.focalAlpha);
        alpha.select(1, 0).fill_(1 - options.focalAlpha);
        each = each * alpha;
    }
    return each.sum() / elements;
}

/// Sums of a channel, (groups, channels) each.
struct Sums {
    torch::Tensor intersection, predicted, reference;
};

torch::Tensor generalizedDice(const Sums& sums, const torch::Tensor& counted, double smooth) {
    const auto inverse = 1 / (sums.reference * sums.reference);
    auto weight = torch::where(sums.reference.gt(0), inverse, torch::zeros_like(inverse)) * counted;
    const auto largest = std::get<0>(weight.max(1, true));
    weight = torch::where(weight.gt(0), weight, largest) * counted;
    const auto numerator = 2 * (weight * sums.intersection).sum(1) + smooth;
    const auto denominator = (weight * (sums.predicted + sums.reference)).sum(1) + smooth;
    const auto used = counted.amax(1);
    return ((1 - numerator / denominator) * used).sum() / used.sum().clamp_min(1);
}

torch::Tensor overlapTerm(const torch::Tensor& probability, const DenseTargets& targets, const torch::Tensor& weight,
                          const SegmentationLossOptions& options) {
    const auto p = probability * targets.counts;
    std::vector<std::int64_t> axes{2, 3};
    if (!options.perImage) axes.insert(axes.begin(), 0);
    const bool squared = options.squared && options.overlap == OverlapForm::Dice;
    const std::int64_t channels = p.size(1);
    const Sums sums{(p * targets.planes).sum(axes).view({-1, channels}),
                    (squared ? p * p : p).sum(axes).view({-1, channels}),
                    targets.planes.sum(axes).view({-1, channels})};
    auto counted = options.presentOnly ? sums.reference.gt(0).to(p.scalar_type()) : torch::ones_like(sums.reference);
    if (options.output == OutputKind::Softmax && !options.withBackground) counted.select(1, 0).fill_(0);
    if (options.overlap == OverlapForm::Generalized) return generalizedDice(sums, counted, options.smooth);
    torch::Tensor numerator, denominator;
    if (options.overlap == OverlapForm::Tversky) {
        numerator = sums.intersection;
        denominator = sums.intersection + options.tverskyFalsePositive * (sums.predicted - sums.intersection) +
                      options.tverskyFalseNegative * (sums.reference - sums.intersection);
    } else {
        numerator = 2 * sums.intersection;
        denominator = sums.predicted + sums.reference;
        if (options.jaccard) denominator = 2 * (denominator - sums.intersection);
    }
    const auto each = 1 - (numerator + options.smooth) / (denominator + options.smooth);
    return (each * weight.view({1, channels}) * counted).sum() / counted.sum().clamp_min(1);
}

}  // namespace

torch::Tensor segmentationLoss(const torch::Tensor& logits, const torch::Tensor& labels,
                               const SegmentationLossOptions& options) {
    if (logits.dim() == 5) return segmentationLoss(logits.flatten(2, 3), labels.flatten(2, 3), options);
    if (logits.is_cpu() && logits.scalar_type() == torch::kFloat) return fusedSegmentationLoss(logits, labels, options);
    return segmentationLossReference(logits, labels, options);
}

torch::Tensor segmentationLossReference(const torch::Tensor& logits, const torch::Tensor& labels,
                                        const SegmentationLossOptions& options) {
    BatchLayout::of(logits, labels);  // checks the shapes
    const auto x = logits.scalar_type() == torch::kDouble ? logits : logits.to(torch::kFloat);
    auto weight = torch::ones({1, x.size(1), 1, 1}, x.options());
    if (!options.classWeights.empty())
        weight = torch::tensor(options.classWeights).to(x.options()).view({1, x.size(1), 1, 1});
    const DenseTargets targets = denseTargets(labels, x, options);
    auto loss = torch::zeros({}, x.options());
    if (options.crossEntropyWeight != 0)
        loss = loss + options.crossEntropyWeight * crossEntropyTerm(x, targets, weight, options);
    if (options.diceWeight == 0) return loss;
    const auto probability = options.output == OutputKind::Sigmoid ? torch::sigmoid(x) : torch::softmax(x, 1);
    return loss + options.diceWeight * overlapTerm(probability, targets, weight, options);
}

}  // namespace medseg
