// Kernels of the structure autoencoder against torch's own operations in double precision.
#include "medseg/nn/sam3d/volume_convolution.h"

#include <gtest/gtest.h>

#include "medseg/nn/sam3d/channel_norm.h"

namespace medseg {
namespace {

/// Largest difference to `exact`, by the largest value there.
double relativeError(const torch::Tensor& found, const torch::Tensor& exact) {
    return ((found.to(torch::kDouble) - exact).abs().max() / exact.abs().max()).item<double>();
}

torch::Tensor asDouble(const torch::Tensor& x) {
    return x.detach().to(torch::kDouble).requires_grad_(true);
}

void compareConvolution(std::int64_t in, std::int64_t out, std::vector<std::int64_t> size) {
    torch::manual_seed(in * 100 + out);
    auto x = torch::randn({2, in, size[0], size[1], size[2]}).requires_grad_(true);
    auto weight = torch::randn({out, in, 3, 3, 3}).requires_grad_(true),
         bias = torch::randn({out}).requires_grad_(true);
    auto x64 = asDouble(x), weight64 = asDouble(weight), bias64 = asDouble(bias);
    const auto result = volumeConvolution(x, weight, bias);
    const auto exact = torch::conv3d(x64, weight64, bias64, 1, 1);
    ASSERT_EQ(result.sizes(), exact.sizes());
    EXPECT_LT(relativeError(result, exact), 1e-5);
    const auto gradient = torch::randn_like(result);
    result.backward(gradient);
    exact.backward(gradient.to(torch::kDouble));
    EXPECT_LT(relativeError(x.grad(), x64.grad()), 1e-5);
    EXPECT_LT(relativeError(weight.grad(), weight64.grad()), 1e-5);
    EXPECT_LT(relativeError(bias.grad(), bias64.grad()), 1e-5);
}

TEST(VolumeConvolution, EqualsTorchForWholeRegisters) {
    compareConvolution(4, 4, {9, 5, 64});
    compareConvolution(1, 8, {4, 6, 32});
}

TEST(VolumeConvolution, EqualsTorchForOddSizes) {
    compareConvolution(3, 5, {4, 3, 7});
    compareConvolution(2, 1, {1, 1, 1});
    compareConvolution(5, 6, {3, 9, 71});
}

TEST(VolumeConvolution, FrozenPartsHaveNoGradientAndTheOthersKeepTheirs) {
    for (const int learns : {0, 1, 2}) {
        torch::manual_seed(learns);
        std::vector<torch::Tensor> own{torch::randn({1, 4, 6, 5, 8}), torch::randn({3, 4, 3, 3, 3}), torch::randn({3})};
        std::vector<torch::Tensor> exact;
        for (const auto& tensor : own) exact.push_back(tensor.to(torch::kDouble));
        const auto which = static_cast<std::size_t>(learns);
        own[which].requires_grad_(true);
        exact[which].requires_grad_(true);
        volumeConvolution(own[0], own[1], own[2]).square().sum().backward();
        torch::conv3d(exact[0], exact[1], exact[2], 1, 1).square().sum().backward();
        for (std::size_t i = 0; i < own.size(); ++i) {
            ASSERT_EQ(own[i].grad().defined(), i == which);
            if (i == which) EXPECT_LT(relativeError(own[i].grad(), exact[i].grad()), 1e-5) << "of input " << i;
        }
    }
}

TEST(VolumeConvolution, ManyChannelsAreTorchs) {
    torch::manual_seed(1);
    const auto x = torch::randn({1, 40, 3, 3, 3}), weight = torch::randn({40, 40, 3, 3, 3}), bias = torch::randn({40});
    EXPECT_TRUE(torch::equal(volumeConvolution(x, weight, bias), torch::conv3d(x, weight, bias, 1, 1)));
}

TEST(VolumeConvolution, SameBitsForAnyNumberOfThreads) {
    const int threads = torch::get_num_threads();
    std::vector<torch::Tensor> gradients;
    for (const int count : {1, 2, 3}) {
        torch::set_num_threads(count);
        torch::manual_seed(5);
        const auto x = torch::randn({2, 3, 20, 6, 18});
        auto weight = torch::randn({6, 3, 3, 3, 3}).requires_grad_(true);
        volumeConvolution(x, weight, torch::zeros({6})).square().sum().backward();
        gradients.push_back(weight.grad().clone());
    }
    torch::set_num_threads(threads);
    EXPECT_TRUE(torch::equal(gradients[0], gradients[1]));
    EXPECT_TRUE(torch::equal(gradients[0], gradients[2]));
}

TEST(VolumeChannelNorm, EqualsLayerNorm) {
    for (const std::int64_t channels : {1, 4, 33}) {
        torch::manual_seed(channels);
        auto x = (torch::randn({2, channels, 9, 8, 11}) * 3 + 1).requires_grad_(true);
        auto weight = torch::randn({channels}).requires_grad_(true),
             bias = torch::randn({channels}).requires_grad_(true);
        auto x64 = asDouble(x), weight64 = asDouble(weight), bias64 = asDouble(bias);
        const auto result = channelNorm(x, weight, bias, 1e-5);
        const auto exact = torch::layer_norm(x64.permute({0, 2, 3, 4, 1}), {channels}, weight64, bias64, 1e-5)
                               .permute({0, 4, 1, 2, 3});
        EXPECT_LT(relativeError(result, exact), 1e-5) << channels;
        const auto gradient = torch::randn_like(result);
        result.backward(gradient);
        exact.backward(gradient.to(torch::kDouble));
        EXPECT_LT(relativeError(bias.grad(), bias64.grad()), 1e-4) << channels;
        if (channels == 1) continue;  // always the bias: the other gradients are zero
        EXPECT_LT(relativeError(x.grad(), x64.grad()), 1e-4) << channels;
        EXPECT_LT(relativeError(weight.grad(), weight64.grad()), 1e-4) << channels;
    }
}

}  // namespace
}  // namespace medseg
