// The inference engine on the standard U-Net: seconds of `BATCH` predicted slices of 256x256, 117 outputs.
// Usage: bench_nn_engine fp32|bf16|int8 BATCH ROUNDS; prints one time a line. bench/peers/unet_inference.py runs it
// beside Python torch and ONNX Runtime.
#include <chrono>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "medseg/base/threads.h"
#include "medseg/engine/calibration.h"
#include "medseg/nn/engine_bridge.h"

int main(int argc, char** argv) {
    using namespace medseg;
    const Precision precision = precisionFromName(argc > 1 ? argv[1] : "fp32");
    const std::int64_t batch = argc > 2 ? std::atoi(argv[2]) : 8;
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
    torch::set_num_threads(threadCount());
    torch::manual_seed(1);
    UNet network(UNetShape{});
    network->eval();
    const Graph graph = engineGraph(*network).value();
    const auto images = torch::rand({batch, 256, 256, 1});
    auto logits = torch::empty({batch, 256, 256, 117});
    ActivationRanges ranges;
    if (precision == Precision::Int8) {
        RangeCalibration calibration(graph, batch, 256, 256);
        calibration.measure(images.data_ptr<float>());
        calibration.refine(images.data_ptr<float>());
        ranges = calibration.ranges();
    }
    Plan plan(graph, precision, batch, 256, 256, ranges);
    for (int round = 0; round <= rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        plan.run(images.data_ptr<float>(), logits.data_ptr<float>());
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (round > 0) fmt::print("{:.4f}\n", seconds);  // the first one warms up
    }
}
