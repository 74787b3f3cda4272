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

}  // namespace medseg
