#include <gtest/gtest.h>
#include <torch/torch.h>

#include "medseg/nn/unet/unet.h"

namespace medseg {
namespace {

TEST(UNet, ParameterCountOfTheStandardNetwork) {
    // By hand: a double convolution i -> o has 9io + o + 2o + 9oo + o + 2o parameters, an upsampler 2o -> o 8oo + o,
    // the final convolution 32 * 117 + 117.
    const auto doubleConv = [](std::int64_t i, std::int64_t o) { return 9 * i * o + 9 * o * o + 6 * o; };
    std::int64_t expected = doubleConv(1, 32) + doubleConv(32, 64) + doubleConv(64, 128) + doubleConv(128, 256) +
                            doubleConv(256, 512) + 32 * 117 + 117;
    for (const std::int64_t o : {32, 64, 128, 256}) expected += 8 * o * o + o + doubleConv(2 * o, o);
    UNet network(UNetShape{});
    std::int64_t count = 0;
    for (const auto& parameter : network->parameters()) count += parameter.numel();
    EXPECT_EQ(count, expected);
}

TEST(UNet, NamesAndShapesFollowThePythonOriginal) {
    UNet network(UNetShape{1, 5, {4, 8}, 16});
    const auto parameters = network->named_parameters();
    EXPECT_EQ(parameters["enc1.conv.0.weight"].sizes(), (std::vector<std::int64_t>{4, 1, 3, 3}));
    EXPECT_EQ(parameters["enc2.conv.4.bias"].sizes(), (std::vector<std::int64_t>{8}));
    EXPECT_EQ(parameters["bottleneck.conv.3.weight"].sizes(), (std::vector<std::int64_t>{16, 16, 3, 3}));
    EXPECT_EQ(parameters["up2.weight"].sizes(), (std::vector<std::int64_t>{16, 8, 2, 2}));
    EXPECT_EQ(parameters["dec1.conv.0.weight"].sizes(), (std::vector<std::int64_t>{4, 8, 3, 3}));
    EXPECT_EQ(parameters["final_conv.weight"].sizes(), (std::vector<std::int64_t>{5, 4, 1, 1}));
    EXPECT_TRUE(network->named_buffers().contains("enc1.conv.1.running_mean"));
    EXPECT_EQ(network->forward(torch::rand({2, 1, 16, 24})).sizes(), (std::vector<std::int64_t>{2, 5, 16, 24}));
}

struct Variant {
    const char* name;
    UNetShape shape;
};

class UNetVariants : public ::testing::TestWithParam<Variant> {};

TEST_P(UNetVariants, KeepTheSizeAndTrainEveryParameter) {
    torch::manual_seed(1);
    const UNetShape& shape = GetParam().shape;
    UNet network(shape);
    std::vector<std::int64_t> size{2, shape.inChannels, 16, 24};
    if (shape.dimensions == 3) size.insert(size.begin() + 2, 8);
    const auto outputs = network->forwardAll(torch::randn(size));
    size[1] = shape.outChannels;
    EXPECT_EQ(outputs[0].sizes(), size);
    EXPECT_EQ(outputs.size(), shape.deepSupervision ? shape.features.size() : 1);
    torch::Tensor sum = torch::zeros({});
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        for (std::size_t axis = 2; axis < size.size(); ++axis)
            EXPECT_EQ(outputs[i].size(static_cast<std::int64_t>(axis)), size[axis] >> i);
        sum = sum + outputs[i].square().sum();
    }
    sum.backward();
    for (const auto& item : network->named_parameters()) {
        ASSERT_TRUE(item.value().grad().defined()) << item.key();
        EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    }
    network->eval();
    const torch::NoGradGuard noGradient;
    size[1] = shape.inChannels;
    EXPECT_EQ(network->forwardAll(torch::randn(size)).size(), 1U);
}

UNetShape variant(int dimensions, NormKind norm, bool residual, bool attention, bool deep) {
    return {2, 3, {8, 16, 32}, 32, dimensions, norm, residual, attention, deep};
}

INSTANTIATE_TEST_SUITE_P(All, UNetVariants,
                         ::testing::Values(Variant{"plain", variant(2, NormKind::Batch, false, false, false)},
                                           Variant{"residual", variant(2, NormKind::Batch, true, false, false)},
                                           Variant{"attention", variant(2, NormKind::Instance, false, true, false)},
                                           Variant{"deep", variant(2, NormKind::Group, true, true, true)},
                                           Variant{"plain3d", variant(3, NormKind::Batch, false, false, false)},
                                           Variant{"all3d", variant(3, NormKind::Instance, true, true, true)}),
                         [](const auto& info) { return std::string(info.param.name); });

torch::Tensor spatialMean(const torch::Tensor& x) {
    return x.mean({2, 3}, true);
}

TEST(ChannelNorm, InstanceAndGroupFollowTheirFormulas) {
    torch::manual_seed(2);
    const auto x = torch::randn({2, 32, 5, 4});
    ChannelNorm instance(NormKind::Instance, 32), group(NormKind::Group, 32);
    const auto centred = x - spatialMean(x);
    EXPECT_TRUE(
        torch::allclose(instance->forward(x), centred / (spatialMean(centred.square()) + 1e-5).sqrt(), 1e-4, 1e-5));
    const auto groups = x.reshape({2, 2, -1});  // 32 channels: two groups of 16
    const auto mean = groups.mean(2, true), variance = groups.var(2, false, true);
    EXPECT_TRUE(torch::allclose(group->forward(x), ((groups - mean) / (variance + 1e-5).sqrt()).reshape(x.sizes()),
                                1e-4, 1e-5));
}

// With all weights of psi zero the gate is sigmoid(0): half of the skip passes.
TEST(AttentionGate, ScalesTheSkip) {
    AttentionGate gate(2, 6, 4, NormKind::Batch);
    gate->eval();
    {
        const torch::NoGradGuard noGradient;
        for (auto& item : gate->named_parameters())
            if (item.key() == "psi.0.weight") item.value().zero_();
    }
    const auto skip = torch::randn({1, 4, 3, 3});
    EXPECT_TRUE(torch::allclose(gate->forward(torch::randn({1, 6, 3, 3}), skip), skip / 2));
}

// With its second norm's scale at zero a residual block adds nothing: relu(x) is left.
TEST(DoubleConv, ResidualAddsTheInput) {
    DoubleConv block(2, 4, 4, NormKind::Batch, true);
    const torch::NoGradGuard noGradient;
    for (auto& item : block->named_parameters())
        if (item.key() == "conv.4.weight") item.value().zero_();
    const auto x = torch::randn({1, 4, 5, 5});
    EXPECT_TRUE(torch::allclose(block->forward(x), x.relu()));
}

}  // namespace
}  // namespace medseg
