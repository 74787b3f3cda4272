#include <gtest/gtest.h>
#include <torch/torch.h>

#include "medseg/nn/unet/unet2d.h"

namespace medseg {
namespace {

TEST(UNet2d, ParameterCountOfTheStandardNetwork) {
    // By hand: a double convolution i -> o has 9io + o + 2o + 9oo + o + 2o parameters, an upsampler 2o -> o 8oo + o,
    // the final convolution 32 * 117 + 117.
    const auto doubleConv = [](std::int64_t i, std::int64_t o) { return 9 * i * o + 9 * o * o + 6 * o; };
    std::int64_t expected = doubleConv(1, 32) + doubleConv(32, 64) + doubleConv(64, 128) + doubleConv(128, 256) +
                            doubleConv(256, 512) + 32 * 117 + 117;
    for (const std::int64_t o : {32, 64, 128, 256}) expected += 8 * o * o + o + doubleConv(2 * o, o);
    UNet2d network(UNet2dShape{});
    std::int64_t count = 0;
    for (const auto& parameter : network->parameters()) count += parameter.numel();
    EXPECT_EQ(count, expected);
}

TEST(UNet2d, NamesAndShapesFollowThePythonOriginal) {
    UNet2d network(UNet2dShape{1, 5, {4, 8}, 16});
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

}  // namespace
}  // namespace medseg
