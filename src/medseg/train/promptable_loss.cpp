#include "medseg/train/promptable_loss.h"

namespace medseg {

PromptableLoss promptableLoss(const torch::Tensor& logits, const torch::Tensor& targets) {
    constexpr double kSmooth = 1e-5;
    const torch::Tensor wanted = targets.to(logits.scalar_type());
    const torch::Tensor probabilities = torch::sigmoid(logits);
    const auto overPixels = [](const torch::Tensor& values) { return values.sum(torch::IntArrayRef{2, 3}); };
    const torch::Tensor numerator = 2 * overPixels(probabilities * wanted) + kSmooth;
    const torch::Tensor denominator = overPixels(probabilities.square()) + overPixels(wanted.square()) + kSmooth;
    return {(1 - numerator / denominator).mean(), torch::binary_cross_entropy_with_logits(logits, wanted)};
}

torch::Tensor trackedLoss(const torch::Tensor& logits, const torch::Tensor& scores, const torch::Tensor& targets) {
    const torch::Tensor present = targets.flatten(1).gt(0).any(1);
    const torch::Tensor presence =
        torch::binary_cross_entropy_with_logits(scores.squeeze(1), present.to(scores.scalar_type()));
    const torch::Tensor shown = present.nonzero().squeeze(1);
    if (shown.numel() == 0) return presence;
    const auto share = static_cast<double>(shown.numel()) / static_cast<double>(targets.size(0));
    return presence + share * promptableLoss(logits.index_select(0, shown), targets.index_select(0, shown)).total();
}

}  // namespace medseg
