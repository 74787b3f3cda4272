// The engine's logits are the same bits whatever the number of threads.
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <omp.h>

#include "medseg/base/threads.h"
#include "medseg/engine/calibration.h"
#include "medseg/engine/plan.h"
#include "medseg/nn/engine_bridge.h"

namespace medseg {
namespace {

/// Restores the number of threads of both pools.
class ThreadCount {
  public:
    explicit ThreadCount(int threads) {
        setThreadCount(threads);
        ::omp_set_num_threads(threads);
    }
    ~ThreadCount() {
        setThreadCount(0);
        ::omp_set_num_threads(threadCount());
    }
};

struct Case {
    Precision precision;
    std::int64_t batch, size;
};

class EngineThreads : public ::testing::TestWithParam<Case> {};

TEST_P(EngineThreads, DoNotChangeTheLogits) {
    const auto [precision, batch, size] = GetParam();
    torch::manual_seed(3);
    UNet network(UNetShape{});  // the standard network: large enough for every kernel that oneDNN chooses
    network->eval();
    const Graph graph = engineGraph(*network).value();
    const auto images = torch::rand({batch, size, size, 1});
    ActivationRanges ranges;
    if (precision == Precision::Int8) {
        RangeCalibration calibration(graph, batch, size, size);
        calibration.measure(images.data_ptr<float>());
        calibration.refine(images.data_ptr<float>());
        ranges = calibration.ranges();
    }
    const auto logitsWith = [&](int threads) {
        const ThreadCount limit(threads);
        std::vector<float> logits(static_cast<std::size_t>(batch * size * size * 117));
        Plan plan(graph, precision, batch, size, size, ranges);
        plan.run(images.data_ptr<float>(), logits.data());
        return logits;
    };
    const auto one = logitsWith(1), two = logitsWith(2), three = logitsWith(3);
    EXPECT_EQ(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)), 0);
    EXPECT_EQ(std::memcmp(one.data(), three.data(), one.size() * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Precisions, EngineThreads,
                         ::testing::Values(Case{Precision::Fp32, 1, 64}, Case{Precision::Fp32, 1, 256},
                                           Case{Precision::Fp32, 3, 128}, Case{Precision::Fp32, 8, 256},
                                           Case{Precision::Int8, 1, 256}, Case{Precision::Int8, 3, 64}));

}  // namespace
}  // namespace medseg
