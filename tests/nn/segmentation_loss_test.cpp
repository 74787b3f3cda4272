#include <gtest/gtest.h>
#include <torch/torch.h>

#include "medseg/nn/segmentation_loss.h"

namespace medseg {
namespace {

struct Case {
    OutputKind output;
    double crossEntropy, dice;
    bool presentOnly;
    torch::ScalarType labelType;
    int layers;
};

class FusedLoss : public testing::TestWithParam<Case> {};

TEST_P(FusedLoss, ValueAndGradientEqualPlainTorch) {
    const Case& c = GetParam();
    torch::manual_seed(3);
    const int channels = 131, structures = c.output == OutputKind::Sigmoid ? channels : channels - 1;
    auto logits = (torch::randn({3, channels, 9, 13}) * 6).requires_grad_();
    // Ids beyond 40 stay absent, so that presentOnly matters.
    auto labels = torch::randint(0, std::min(40, structures), {3, c.layers, 9, 13}).to(c.labelType);
    const SegmentationLossOptions options{c.output, c.crossEntropy, c.dice, c.presentOnly, 1e-5};
    auto fused = segmentationLoss(logits, labels, options);
    auto fusedGradient = torch::autograd::grad({fused * 2}, {logits})[0];
    auto reference = segmentationLossReference(logits.to(torch::kDouble), labels, options);
    auto referenceGradient = torch::autograd::grad({reference * 2}, {logits})[0];
    EXPECT_NEAR(fused.item<double>(), reference.item<double>(), 2e-6 * std::abs(reference.item<double>()));
    const double scale = referenceGradient.abs().max().item<double>();
    EXPECT_LT((fusedGradient - referenceGradient).abs().max().item<double>(), 1e-5 * scale);
}

INSTANTIATE_TEST_SUITE_P(All, FusedLoss,
                         testing::Values(Case{OutputKind::Sigmoid, 1, 0, true, torch::kUInt8, 1},
                                         Case{OutputKind::Sigmoid, 0, 1, true, torch::kUInt8, 1},
                                         Case{OutputKind::Sigmoid, 1, 0.5, false, torch::kInt16, 2},
                                         Case{OutputKind::Softmax, 1, 0, true, torch::kUInt8, 1},
                                         Case{OutputKind::Softmax, 0, 1, true, torch::kInt16, 1},
                                         Case{OutputKind::Softmax, 1, 1, false, torch::kUInt8, 1}));

TEST(SegmentationLoss, BceOfZeroLogitsIsLogTwo) {
    const auto logits = torch::zeros({1, 4, 2, 2});
    const auto labels = torch::ones({1, 1, 2, 2}, torch::kUInt8);
    EXPECT_NEAR(segmentationLoss(logits, labels, {}).item<double>(), std::log(2.0), 1e-7);
}

TEST(SegmentationLoss, PerfectPredictionHasNoLoss) {
    // Structure 2 on the left half, nothing elsewhere.
    auto labels = torch::zeros({1, 1, 4, 4}, torch::kUInt8);
    labels.slice(3, 0, 2).fill_(2);
    auto logits = torch::full({1, 3, 4, 4}, -40.0);
    logits.select(1, 1).slice(2, 0, 2).fill_(40.0);
    EXPECT_NEAR(segmentationLoss(logits, labels, {OutputKind::Sigmoid, 1, 1}).item<double>(), 0, 1e-6);
}

TEST(CountOverlap, CountsPerStructureAndMeanDiceSkipsAbsent) {
    auto labels = torch::zeros({1, 1, 2, 4}, torch::kUInt8);
    labels[0][0][0] = torch::tensor({1, 1, 1, 0}).to(torch::kUInt8);
    auto logits = torch::full({1, 2, 2, 4}, -5.0);
    logits[0][0][0] = torch::tensor({5.0, 5.0, -5.0, 5.0});
    auto counts = torch::zeros({2, 3}, torch::kLong);
    countOverlap(logits, labels, OutputKind::Sigmoid, 0.5, counts);
    EXPECT_TRUE(counts.equal(torch::tensor({{2, 3, 3}, {0, 0, 0}}, torch::kLong)));
    EXPECT_NEAR(meanDice(counts), 2.0 * 2 / 6, 1e-12);
}

}  // namespace
}  // namespace medseg
