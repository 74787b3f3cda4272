// Every loss against its formula in plain loops, its gradient against central differences, and MONAI's published
// values.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "nn/loss_formulas.h"

namespace medseg {
namespace {

constexpr int kImages = 2, kHeight = 3, kWidth = 4, kChannels = 5, kIgnored = 3;

struct Named {
    std::string name;
    SegmentationLossOptions options;
};

std::vector<Named> allForms() {
    std::vector<Named> forms;
    const std::vector<float> weights{0.5F, 2.0F, 1.0F, 3.0F, 0.25F};
    for (const OutputKind output : {OutputKind::Sigmoid, OutputKind::Softmax}) {
        const std::string prefix = output == OutputKind::Sigmoid ? "sigmoid " : "softmax ";
        SegmentationLossOptions plain;
        plain.output = output;
        SegmentationLossOptions o = plain;
        const auto add = [&](const char* name) {
            forms.push_back({prefix + name, o});
            forms.push_back({prefix + name + ", weighted", o});
            forms.back().options.classWeights = weights;
            forms.push_back({prefix + name + ", weighted, ignore", forms.back().options});
            forms.back().options.ignoreLabel = kIgnored;
            o = plain;
        };
        add("cross entropy");
        o.focalGamma = 2;
        add("focal");
        o.focalGamma = 1.5, o.focalAlpha = 0.25;
        add("focal with alpha");
        o.focalGamma = 0;
        add("focal without focus");
        o.crossEntropyWeight = 0.7, o.diceWeight = 1.3;
        add("cross entropy and Dice");
        o.crossEntropyWeight = 0, o.diceWeight = 1, o.perImage = true, o.presentOnly = false, o.withBackground = true;
        add("Dice per image with background");
        o.crossEntropyWeight = 0, o.diceWeight = 1, o.squared = true;
        add("squared Dice");
        o.crossEntropyWeight = 0, o.diceWeight = 1, o.jaccard = true, o.squared = true, o.perImage = true;
        add("squared Jaccard");
        o.crossEntropyWeight = 0, o.diceWeight = 1, o.overlap = OverlapForm::Generalized, o.withBackground = true;
        add("generalised Dice");
        o.diceWeight = 2, o.overlap = OverlapForm::Generalized, o.perImage = true, o.presentOnly = false;
        add("generalised Dice per image with absent structures");
        o.diceWeight = 1, o.overlap = OverlapForm::Tversky, o.tverskyFalsePositive = 0.3, o.tverskyFalseNegative = 0.7;
        add("cross entropy and Tversky");
        o.focalGamma = 2, o.diceWeight = 0.5, o.squared = true;
        add("focal and squared Dice");
    }
    return forms;
}

DenseCase denseCase(const torch::Tensor& logits, const torch::Tensor& labels, const SegmentationLossOptions& options) {
    const auto x = logits.to(torch::kDouble);
    DenseCase dense;
    for (int b = 0; b < kImages; ++b) {
        auto& image = dense.logits.emplace_back();
        auto& target = dense.targets.emplace_back();
        auto& counts = dense.counts.emplace_back(kHeight * kWidth, true);
        for (int k = 0; k < kChannels; ++k) {
            image.emplace_back();
            target.emplace_back();
            for (int i = 0; i < kHeight * kWidth; ++i) {
                image.back().push_back(x[b][k].flatten()[i].item<double>());
                const int id = options.output == OutputKind::Sigmoid ? k + 1 : k;
                double named = 0;
                for (int layer = 0; layer < labels.size(1); ++layer) {
                    const int value = labels[b][layer].flatten()[i].item<int>();
                    if (value == id) named = 1;
                    if (value == options.ignoreLabel) counts[i] = false;
                }
                target.back().push_back(named);
            }
        }
    }
    return dense;
}

class LossFormula : public testing::TestWithParam<Named> {};

TEST_P(LossFormula, ValueAndGradientEqualTheDefinition) {
    const SegmentationLossOptions& options = GetParam().options;
    torch::manual_seed(11);
    const bool sigmoid = options.output == OutputKind::Sigmoid;
    auto logits = (torch::randn({kImages, kChannels, kHeight, kWidth}) * 2).requires_grad_();
    // The last structure is absent; with sigmoid outputs structures overlap.
    const auto labels = torch::randint(0, kChannels - 1, {kImages, sigmoid ? 2 : 1, kHeight, kWidth}).to(torch::kUInt8);
    DenseCase dense = denseCase(logits.detach(), labels, options);
    const double expected = expectedLoss(dense, options);
    const auto fused = segmentationLoss(logits, labels, options);
    const auto fusedGradient = torch::autograd::grad({fused}, {logits})[0];
    const auto reference = segmentationLossReference(logits.to(torch::kDouble), labels, options);
    const auto referenceGradient = torch::autograd::grad({reference}, {logits})[0];
    EXPECT_NEAR(fused.item<double>(), expected, 3e-6 * std::abs(expected));
    EXPECT_NEAR(reference.item<double>(), expected, 1e-9 * std::abs(expected));
    constexpr double kStep = 1e-5;
    const double scale = referenceGradient.abs().max().item<double>();
    for (int b = 0; b < kImages; ++b)
        for (int k = 0; k < kChannels; ++k)
            for (int i = 0; i < kHeight * kWidth; ++i) {
                double& x = dense.logits[b][k][i];
                const double kept = x;
                x = kept + kStep;
                const double above = expectedLoss(dense, options);
                x = kept - kStep;
                const double slope = (above - expectedLoss(dense, options)) / (2 * kStep);
                x = kept;
                EXPECT_NEAR(fusedGradient[b][k].flatten()[i].item<double>(), slope, 1e-5 * scale);
                EXPECT_NEAR(referenceGradient[b][k].flatten()[i].item<double>(), slope, 1e-5 * scale);
            }
}

INSTANTIATE_TEST_SUITE_P(All, LossFormula, testing::ValuesIn(allForms()), [](const auto& info) {
    std::string name = info.param.name;
    for (char& c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return name;
});

/// The numbers of MONAI's unit tests of DiceLoss, TverskyLoss and GeneralizedDiceLoss (tests/test_*_loss.py).
struct Published {
    OutputKind output;
    OverlapForm form;
    bool perImage;
    double smooth, alpha, beta;
    bool squared, jaccard;
    int sample;
    double value;
};

class PublishedLoss : public testing::TestWithParam<Published> {};

TEST_P(PublishedLoss, EqualsMonai) {
    const Published& p = GetParam();
    // 0: one image, one channel; 1: two images, one channel; 2: two images of three pixels, two channels.
    const std::vector<torch::Tensor> logits{
        torch::tensor({1.F, -1.F, -1.F, 1.F}).view({1, 1, 2, 2}),
        torch::tensor({1.F, -1.F, -1.F, 1.F, 1.F, -1.F, -1.F, 1.F}).view({2, 1, 2, 2}),
        torch::tensor({-1.F, 0.F, 1.F, 1.F, 0.F, -1.F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F}).view({2, 2, 1, 3})};
    const std::vector<torch::Tensor> classes{torch::tensor({1, 0, 1, 1}).view({1, 1, 2, 2}),
                                             torch::tensor({1, 1, 1, 1, 1, 0, 1, 0}).view({2, 1, 2, 2}),
                                             torch::tensor({1, 0, 0, 1, 1, 0}).view({2, 1, 1, 3})};
    // Channel k of a sigmoid output is id k + 1: MONAI's class 0 becomes id 1 where it has a channel of its own.
    const bool shifted = p.output == OutputKind::Sigmoid && p.sample == 2;
    const auto labels = (classes[p.sample] + (shifted ? 1 : 0)).to(torch::kUInt8);
    SegmentationLossOptions options;
    options.output = p.output;
    options.crossEntropyWeight = 0;
    options.diceWeight = 1;
    options.presentOnly = false;
    options.withBackground = true;
    options.overlap = p.form;
    options.perImage = p.perImage;
    options.smooth = p.smooth;
    options.squared = p.squared;
    options.jaccard = p.jaccard;
    options.tverskyFalsePositive = p.alpha;
    options.tverskyFalseNegative = p.beta;
    EXPECT_NEAR(segmentationLoss(logits[p.sample], labels, options).item<double>(), p.value,
                1e-4 * p.value);  // MONAI's own tolerance
    EXPECT_NEAR(segmentationLossReference(logits[p.sample], labels, options).item<double>(), p.value,
                1e-4 * p.value);  // MONAI's own tolerance
}

constexpr auto kSigmoid = OutputKind::Sigmoid, kSoftmax = OutputKind::Softmax;
constexpr auto kDice = OverlapForm::Dice, kTversky = OverlapForm::Tversky, kGeneralized = OverlapForm::Generalized;
INSTANTIATE_TEST_SUITE_P(
    Monai, PublishedLoss,
    testing::Values(Published{kSigmoid, kDice, true, 1e-6, 0.5, 0.5, false, false, 0, 0.307576},
                    Published{kSigmoid, kDice, true, 1e-4, 0.5, 0.5, false, false, 1, 0.416657},
                    Published{kSigmoid, kDice, true, 1e-5, 0.5, 0.5, true, false, 0, 0.178337},
                    Published{kSigmoid, kDice, true, 1e-5, 0.5, 0.5, false, true, 0, 0.470451},
                    Published{kSigmoid, kTversky, true, 1e-4, 0.5, 0.5, false, false, 1, 0.416657},
                    Published{kSigmoid, kTversky, true, 1e-4, 0.5, 0.5, false, false, 2, 0.435050},
                    Published{kSigmoid, kTversky, false, 1e-5, 0.5, 0.5, false, false, 2, 0.422979},
                    Published{kSoftmax, kTversky, true, 1e-4, 0.5, 0.5, false, false, 2, 0.383713},
                    Published{kSigmoid, kTversky, true, 1e-6, 0.3, 0.7, false, false, 0, 0.3589},
                    Published{kSigmoid, kTversky, true, 1e-6, 0.7, 0.3, false, false, 0, 0.247366},
                    Published{kSigmoid, kGeneralized, true, 1e-6, 0.5, 0.5, false, false, 0, 0.307576},
                    Published{kSigmoid, kGeneralized, true, 1e-4, 0.5, 0.5, false, false, 1, 0.416597},
                    Published{kSigmoid, kGeneralized, true, 1e-4, 0.5, 0.5, false, false, 2, 0.469964},
                    Published{kSoftmax, kGeneralized, true, 1e-4, 0.5, 0.5, false, false, 2, 0.414507}));

TEST(SegmentationLoss, FocalWithoutFocusIsBce) {
    torch::manual_seed(5);
    const auto logits = torch::randn({2, 6, 8, 8}) * 4;
    const auto labels = torch::randint(0, 7, {2, 1, 8, 8}).to(torch::kUInt8);
    SegmentationLossOptions bce, focal;
    focal.focalGamma = 0;
    EXPECT_NEAR(segmentationLoss(logits, labels, focal).item<double>(),
                segmentationLoss(logits, labels, bce).item<double>(), 1e-6);
}

TEST(SegmentationLoss, ABatchThatIsIgnoredWhollyHasNoLossAndNoGradient) {
    for (const OutputKind output : {OutputKind::Sigmoid, OutputKind::Softmax}) {
        SegmentationLossOptions options{output, 1, 1};
        options.ignoreLabel = 2;
        auto logits = torch::randn({1, 3, 4, 4}).requires_grad_();
        const auto labels = torch::full({1, 1, 4, 4}, 2, torch::kUInt8);
        const auto loss = segmentationLoss(logits, labels, options);
        EXPECT_EQ(loss.item<double>(), 0);
        EXPECT_EQ(torch::autograd::grad({loss}, {logits})[0].abs().max().item<double>(), 0);
    }
}

TEST(SegmentationLoss, VolumesAreTallSlices) {
    torch::manual_seed(6);
    auto logits = torch::randn({2, 3, 4, 5, 6}).requires_grad_();
    const auto labels = torch::randint(0, 4, {2, 1, 4, 5, 6}).to(torch::kUInt8);
    const SegmentationLossOptions options{OutputKind::Sigmoid, 1, 1};
    const auto loss = segmentationLoss(logits, labels, options);
    const auto flat = segmentationLoss(logits.reshape({2, 3, 20, 6}), labels.reshape({2, 1, 20, 6}), options);
    EXPECT_EQ(loss.item<float>(), flat.item<float>());
    EXPECT_EQ(torch::autograd::grad({loss}, {logits})[0].sizes(), logits.sizes());
}

TEST(CountOverlap, LeavesIgnoredPixelsOut) {
    const auto labels = torch::tensor({1, 1, 2, 2}, torch::kInt).to(torch::kUInt8).view({1, 1, 1, 4});
    const auto logits = torch::full({1, 2, 1, 4}, 5.0);
    auto counts = torch::zeros({2, 3}, torch::kLong);
    countOverlap(logits, labels, OutputKind::Sigmoid, 0.5, counts, 2);
    EXPECT_TRUE(counts.equal(torch::tensor({{2, 2, 2}, {0, 2, 0}}, torch::kLong)));
}

}  // namespace
}  // namespace medseg
