// One velocity of SAM 3D's structure generator at the released size with random weights, shape stream: seconds, peak
// memory and the floor of its arithmetic. Usage: bench_nn_sam3d_velocity [CONDITION_TOKENS] [ROUNDS]
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>

#include <fmt/format.h>

#include "medseg/base/threads.h"
#include "medseg/nn/sam3d/sam3d_model.h"

namespace medseg {
namespace {

double peakGigabytes() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1e6;
}

/// Multiplications and additions of matrix products and attention, times 2.
double flops(const StructureFlowShape& shape, double conditionTokens) {
    const double c = static_cast<double>(shape.width), n = static_cast<double>(shape.latents.front().tokens);
    const double mlp = 2 * static_cast<double>(shape.mlpRatio);
    const double layers = n * (6 + mlp) * c * c;  // to_qkv, to_out, to_q and to_out of the condition, MLP
    const double attention = 2 * n * n * c + 2 * n * conditionTokens * c;
    return 2 * static_cast<double>(shape.blocks) * (layers + attention);
}

double conditionFlops(const StructureFlowShape& shape, double conditionTokens) {
    return 4 * static_cast<double>(shape.blocks * shape.conditionWidth * shape.width) * conditionTokens;
}

template <typename Work>
double seconds(Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace
}  // namespace medseg

int main(int argc, char** argv) {
    using namespace medseg;
    const int tokens = argc > 1 ? std::atoi(argv[1]) : 7528, rounds = argc > 2 ? std::atoi(argv[2]) : 1;
    torch::set_num_threads(threadCount());
    torch::NoGradGuard noGradient;
    const Sam3dShape shape = sam3dShape("official");
    StructureFlow model(shape.flow);
    std::int64_t values = 0;
    for (const auto& parameter : model->parameters()) values += parameter.numel();
    fmt::print("{:.0f} M values, {} shape tokens, {} condition tokens, {} threads\n", static_cast<double>(values) / 1e6,
               shape.flow.latents.front().tokens, tokens, threadCount());
    FlowCondition condition;
    const double prepared = seconds([&] {
        condition = model->prepareCondition(torch::randn({1, tokens, shape.flow.conditionWidth}), false);
    });
    fmt::print("condition keys and values, once a slice: {:.2f} s, {:.2f} TFLOP\n", prepared,
               conditionFlops(shape.flow, tokens) / 1e12);
    const FlowState x{{kShapeLatent, torch::randn({1, shape.flow.latents.front().tokens, 8})}};
    const auto t = torch::tensor({300.0F}), d = torch::zeros({1});
    for (int round = 0; round < rounds; ++round) {
        const double time = seconds([&] { model->velocity(x, t, d, condition); });
        const double work = flops(shape.flow, tokens) / 1e12;
        fmt::print("velocity: {:.2f} s, {:.2f} TFLOP, {:.0f} GFLOP/s, peak memory {:.2f} GB\n", time, work,
                   1000 * work / time, peakGigabytes());
    }
}
