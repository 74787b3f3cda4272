// The fused layers beside libtorch's separate ones: values, gradients and running statistics.
#include "medseg/nn/fused_layers.h"

#include <gtest/gtest.h>

#include "medseg/nn/autocast.h"
#include "medseg/nn/unet/unet.h"

namespace medseg {
namespace {

void expectClose(const torch::Tensor& actual, const torch::Tensor& expected, const char* what) {
    ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
    const double scale = std::max(1e-3, expected.abs().max().item<double>());
    EXPECT_LT((actual - expected).abs().max().item<double>() / scale, 2e-5) << what;
}

torch::Tensor leaf(at::IntArrayRef shape) {
    return torch::randn(shape).requires_grad_();
}

struct ConvCase {
    std::int64_t batch, in, out, height, width;
};

class ConvNormReluTest : public ::testing::TestWithParam<ConvCase> {};

TEST_P(ConvNormReluTest, EqualsTheSeparateLayers) {
    const auto [batch, in, out, height, width] = GetParam();
    torch::manual_seed(3);
    std::vector<torch::Tensor> inputs{leaf({batch, in, height, width}), leaf({out, in, 3, 3}), leaf({out}), leaf({out}),
                                      leaf({out})};
    auto mean = torch::randn({out}), variance = torch::rand({out}) + 0.5;
    const auto meanExpected = mean.clone(), varianceExpected = variance.clone();
    const auto direction = torch::randn({batch, out, height, width});

    const auto fused = convNormRelu(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], mean, variance, 0.1, 1e-5);
    const auto separate =
        torch::relu(torch::batch_norm(torch::conv2d(inputs[0], inputs[1], inputs[2], 1, 1), inputs[3], inputs[4],
                                      meanExpected, varianceExpected, true, 0.1, 1e-5, false));
    expectClose(fused, separate, "output");
    expectClose(mean, meanExpected, "running mean");
    expectClose(variance, varianceExpected, "running variance");
    const auto actual = torch::autograd::grad({fused}, inputs, {direction});
    const auto expected = torch::autograd::grad({separate}, inputs, {direction});
    // The bias's gradient is zero but for rounding: batch norm takes the mean away.
    for (const std::size_t i : {0U, 1U, 3U, 4U}) expectClose(actual[i], expected[i], std::to_string(i).c_str());
    EXPECT_LT(actual[2].abs().max().item<double>(), 1e-3 * static_cast<double>(batch * height * width));
}

INSTANTIATE_TEST_SUITE_P(Shapes, ConvNormReluTest,
                         ::testing::Values(ConvCase{2, 1, 32, 16, 16}, ConvCase{3, 32, 64, 8, 12},
                                           ConvCase{1, 48, 16, 10, 6}, ConvCase{2, 5, 7, 9, 11}));

TEST(UpsampleAndConcatenate, EqualsTheSeparateLayers) {
    torch::manual_seed(4);
    std::vector<torch::Tensor> inputs{leaf({2, 12, 5, 3}), leaf({12, 7, 2, 2}), leaf({7}), leaf({2, 4, 10, 6})};
    const auto fused = upsampleAndConcatenate(inputs[0], inputs[1], inputs[2], inputs[3]);
    const auto separate = torch::cat({torch::conv_transpose2d(inputs[0], inputs[1], inputs[2], 2), inputs[3]}, 1);
    expectClose(fused, separate, "output");
    const auto direction = torch::randn_like(separate);
    const auto actual = torch::autograd::grad({fused}, inputs, {direction});
    const auto expected = torch::autograd::grad({separate}, inputs, {direction});
    for (std::size_t i = 0; i < inputs.size(); ++i) expectClose(actual[i], expected[i], std::to_string(i).c_str());
}

TEST(PointwiseConvolution, EqualsConv2d) {
    torch::manual_seed(5);
    std::vector<torch::Tensor> inputs{leaf({2, 6, 4, 5}), leaf({9, 6, 1, 1}), leaf({9})};
    const auto fused = pointwiseConvolution(inputs[0], inputs[1], inputs[2]);
    const auto separate = torch::conv2d(inputs[0], inputs[1], inputs[2]);
    expectClose(fused, separate, "output");
    const auto direction = torch::randn_like(separate);
    const auto actual = torch::autograd::grad({fused}, inputs, {direction});
    const auto expected = torch::autograd::grad({separate}, inputs, {direction});
    for (std::size_t i = 0; i < inputs.size(); ++i) expectClose(actual[i], expected[i], std::to_string(i).c_str());
}

TEST(FusedLayers, TakeFloatsOnTheCpuWhileGradientsAreRecorded) {
    EXPECT_TRUE(canFuse(torch::rand({1, 1, 4, 4})));
    EXPECT_FALSE(canFuse(torch::rand({1, 1, 4, 4}, torch::kDouble)));
    const torch::NoGradGuard noGradient;
    EXPECT_FALSE(canFuse(torch::rand({1, 1, 4, 4})));
}

/// Relative error of the whole tensor; bf16 keeps eight bits, a rounding of one number is 2^-9.
double relativeError(const torch::Tensor& actual, const torch::Tensor& expected) {
    return ((actual.to(torch::kFloat) - expected).norm() / expected.norm()).item<double>();
}

TEST(FusedLayers, InBf16FollowFloatToItsRounding) {
    if (!cpuMultipliesBf16()) GTEST_SKIP() << "this CPU has no bf16 arithmetic";
    torch::manual_seed(7);
    std::vector<torch::Tensor> inputs{leaf({2, 24, 12, 16}), leaf({32, 24, 3, 3}), leaf({32}), leaf({32}), leaf({32})};
    auto mean = torch::zeros({32}), variance = torch::ones({32});
    const auto direction = torch::randn({2, 32, 12, 16});
    const auto layer = [&](const torch::Tensor& x) {
        return convNormRelu(x, inputs[1], inputs[2], inputs[3], inputs[4], mean, variance, 0.1, 1e-5);
    };
    const auto half = layer(inputs[0].to(torch::kBFloat16)), whole = layer(inputs[0]);
    EXPECT_EQ(half.scalar_type(), torch::kBFloat16);
    EXPECT_LT(relativeError(half, whole), 0.01);
    const auto actual = torch::autograd::grad({half}, inputs, {direction.to(torch::kBFloat16)});
    const auto expected = torch::autograd::grad({whole}, inputs, {direction});
    for (const std::size_t i : {0U, 1U, 3U, 4U}) {
        EXPECT_EQ(actual[i].scalar_type(), torch::kFloat);
        EXPECT_LT(relativeError(actual[i], expected[i]), 0.05) << i;  // pixels near 0 switch sides of the ReLU
    }

    std::vector<torch::Tensor> up{leaf({2, 12, 5, 3}), leaf({12, 7, 2, 2}), leaf({7}), leaf({2, 4, 10, 6})};
    const auto joined = upsampleAndConcatenate(up[0].to(torch::kBFloat16), up[1], up[2], up[3].to(torch::kBFloat16));
    const auto joinedWhole = upsampleAndConcatenate(up[0], up[1], up[2], up[3]);
    EXPECT_LT(relativeError(joined, joinedWhole), 0.01);
    const auto towards = torch::randn_like(joinedWhole);
    const auto upActual = torch::autograd::grad({joined}, up, {towards.to(torch::kBFloat16)});
    const auto upExpected = torch::autograd::grad({joinedWhole}, up, {towards});
    for (std::size_t i = 0; i < up.size(); ++i) EXPECT_LT(relativeError(upActual[i], upExpected[i]), 0.01) << i;
}

TEST(UNet, TrainsInBf16WithEveryOption) {
    if (!cpuMultipliesBf16()) GTEST_SKIP() << "this CPU has no bf16 arithmetic";
    for (const bool options : {false, true}) {
        torch::manual_seed(8);
        UNetShape shape{1, 3, {8, 16}, 32};
        shape.attention = shape.residual = shape.deepSupervision = options;
        UNet network(shape);
        const auto images = torch::randn({2, 1, 16, 24});
        const auto logits = [&](ProductPrecision precision) {
            const AutocastScope autocast(precision, torch::kCPU);
            return network->forward(images);
        };
        const auto whole = logits(ProductPrecision::Fp32), half = logits(ProductPrecision::Bf16);
        EXPECT_EQ(half.scalar_type(), torch::kFloat);
        EXPECT_LT(relativeError(half, whole), 0.05);
        EXPECT_GT(relativeError(half, whole), 0);
        const auto direction = torch::randn_like(whole);
        const auto expected = torch::autograd::grad({whole}, {network->finalConv->weight}, {direction});
        const auto actual = torch::autograd::grad({half}, network->parameters(), {direction}, {}, false, true);
        for (const auto& gradient : actual)
            EXPECT_TRUE(!gradient.defined() || torch::isfinite(gradient).all().item<bool>());
        EXPECT_LT(relativeError(torch::autograd::grad({logits(ProductPrecision::Bf16)}, {network->finalConv->weight},
                                                      {direction})[0],
                                expected[0]),
                  0.05);
    }
}

// In double precision the network takes the separate layers: the same weights must give the same step.
TEST(UNet, TrainsTheSameFusedAndInDoublePrecision) {
    torch::manual_seed(6);
    UNet network(UNetShape{2, 3, {8, 16}, 32});
    auto reference = std::make_shared<UNetImpl>(UNetShape{2, 3, {8, 16}, 32});
    reference->to(torch::kDouble);
    {
        const torch::NoGradGuard noGradient;
        auto target = reference->named_parameters();
        for (const auto& item : network->named_parameters()) target[item.key()].copy_(item.value());
    }
    const auto images = torch::randn({2, 2, 16, 24});
    const auto logits = network->forward(images);
    const auto expected = reference->forward(images.to(torch::kDouble));
    expectClose(logits.to(torch::kDouble), expected, "logits");
    logits.square().sum().backward();
    expected.square().sum().backward();
    auto target = reference->named_parameters();
    for (const auto& item : network->named_parameters()) {
        if (item.key().find("conv.0.bias") != std::string::npos || item.key().find("conv.3.bias") != std::string::npos)
            continue;  // zero but for rounding
        const auto gradient = target[item.key()].grad();
        EXPECT_LT((item.value().grad().to(torch::kDouble) - gradient).norm().item<double>(),
                  1e-3 * gradient.norm().item<double>() + 1e-6)
            << item.key();
    }
    auto buffers = reference->named_buffers();
    for (const auto& item : network->named_buffers())
        expectClose(item.value().to(torch::kDouble), buffers[item.key()].to(torch::kDouble), item.key().c_str());
}

}  // namespace
}  // namespace medseg
