#include "medseg/nn/sam3d/reconstruction_loss.h"

namespace medseg {
namespace {

constexpr double kDiceSmoothing = 1.0;

}  // namespace

torch::Tensor overlapLoss(const torch::Tensor& logits, const torch::Tensor& target) {
    const auto p = torch::sigmoid(logits).flatten(1), y = target.flatten(1);
    const auto dice = (2 * (p * y).sum(1) + kDiceSmoothing) / (p.sum(1) + y.sum(1) + kDiceSmoothing);
    return (1 - dice).mean();
}

torch::Tensor occupancyLoss(const torch::Tensor& logits, const torch::Tensor& target) {
    return torch::binary_cross_entropy_with_logits(logits, target) + overlapLoss(logits, target);
}

torch::Tensor distanceLoss(const torch::Tensor& logits, const torch::Tensor& target, const torch::Tensor& distance,
                           double limit) {
    return ((torch::sigmoid(logits) - target).abs() * distance.abs().clamp_max(limit)).mean() / limit;
}

torch::Tensor normalDivergence(const torch::Tensor& mean, const torch::Tensor& logVariance) {
    return 0.5 * (mean.square() + logVariance.exp() - 1 - logVariance).mean();
}

double overlapOf(const torch::Tensor& a, const torch::Tensor& b) {
    const double both = static_cast<double>((a & b).sum().item<std::int64_t>());
    const double sum = static_cast<double>(a.sum().item<std::int64_t>() + b.sum().item<std::int64_t>());
    return sum == 0 ? 1.0 : 2 * both / sum;
}

}  // namespace medseg
