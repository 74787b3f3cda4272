// The inference engine beside libtorch's forward pass on the same weights.
#include "medseg/engine/plan.h"

#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/engine/calibration.h"
#include "medseg/nn/engine_bridge.h"

namespace medseg {
namespace {

UNet randomNetwork(const UNetShape& shape) {
    torch::manual_seed(7);
    UNet network(shape);
    const torch::NoGradGuard noGradient;
    for (auto& item : network->named_buffers()) {
        if (item.key().find("running_mean") != std::string::npos) item.value().normal_(0, 0.3);
        if (item.key().find("running_var") != std::string::npos) item.value().uniform_(0.5, 2);
    }
    for (auto& item : network->named_parameters())
        if (item.value().dim() == 1) item.value().add_(torch::randn_like(item.value()) * 0.1);
    network->finalConv->weight.normal_(0, 0.3);
    network->eval();
    return network;
}

struct Logits {
    torch::Tensor engine, expected;  ///< (batch, height, width, channels)
    /// Largest difference as a share of the range of the expected values.
    double difference() const {
        return (engine - expected).abs().max().item<double>() / expected.abs().max().item<double>();
    }
};

Logits runBoth(UNet& network, Precision precision, std::int64_t batch, std::int64_t height, std::int64_t width) {
    const UNetShape& shape = network->shape();
    const torch::NoGradGuard noGradient;
    const auto images = torch::rand({batch, height, width, shape.inChannels});
    Logits logits{torch::empty({batch, height, width, shape.outChannels}),
                  network->forward(images.permute({0, 3, 1, 2})).permute({0, 2, 3, 1})};
    const Graph graph = engineGraph(*network).value();
    ActivationRanges ranges;
    if (precision == Precision::Int8) {
        RangeCalibration calibration(graph, batch, height, width);
        calibration.measure(images.data_ptr<float>());
        calibration.refine(images.data_ptr<float>());
        ranges = calibration.ranges();
    }
    Plan plan(graph, precision, batch, height, width, ranges);
    plan.run(images.data_ptr<float>(), logits.engine.data_ptr<float>());
    return logits;
}

struct Size {
    UNetShape shape;
    std::int64_t batch, height, width;
};

class EngineTest : public ::testing::TestWithParam<Size> {};

TEST_P(EngineTest, Fp32EqualsLibtorch) {
    const auto& [shape, batch, height, width] = GetParam();
    UNet network = randomNetwork(shape);
    EXPECT_LT(runBoth(network, Precision::Fp32, batch, height, width).difference(), 1e-4);
}

TEST_P(EngineTest, Int8StaysClose) {
    const auto& [shape, batch, height, width] = GetParam();
    UNet network = randomNetwork(shape);
    const Logits logits = runBoth(network, Precision::Int8, batch, height, width);
    const auto error = (logits.engine - logits.expected).square().mean().sqrt().item<double>();
    EXPECT_LT(error, 0.05 * logits.expected.std().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Shapes, EngineTest,
                         ::testing::Values(Size{{1, 5, {16, 32}, 48}, 2, 32, 48}, Size{{3, 7, {8, 12}, 20}, 3, 16, 24},
                                           Size{{2, 117, {32, 64, 128}, 256}, 1, 64, 64},
                                           Size{{1, 4, {32, 64}, 128}, 5, 64, 32}));

TEST(Engine, DoesNotRunWhatItDoesNotKnow) {
    UNetShape shape{1, 2, {8}, 8};
    shape.attention = true;
    EXPECT_FALSE(engineGraph(*UNet(shape)).has_value());
    shape = {1, 2, {8}, 8, 3};
    EXPECT_FALSE(engineGraph(*UNet(shape)).has_value());
}

TEST(Engine, RefusesWrongSizesAndMissingRanges) {
    UNet network = randomNetwork({1, 2, {8, 8}, 8});
    const Graph graph = engineGraph(*network).value();
    EXPECT_THROW(Plan(graph, Precision::Fp32, 1, 30, 32), UsageError);
    EXPECT_THROW(Plan(graph, Precision::Int8, 1, 32, 32), DataError);
    EXPECT_THROW(precisionFromName("fp8"), UsageError);
}

TEST(Engine, SharesBuffersBetweenActivations) {
    UNet network = randomNetwork({1, 2, {16, 32}, 64});
    const Graph graph = engineGraph(*network).value();
    std::int64_t all = 0;
    for (std::size_t v = 1; v + 1 < graph.values.size(); ++v)
        all += (64 >> graph.values[v].halvings) * (64 >> graph.values[v].halvings) * graph.values[v].channels * 4;
    EXPECT_LT(Plan(graph, Precision::Fp32, 1, 64, 64).activationBytes(), all / 2);
}

}  // namespace
}  // namespace medseg
