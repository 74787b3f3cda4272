// The standard U-Net as medseg runs it: seconds of a training step and of a predicted slice. Usage:
// bench_nn_unet2d train|predict BATCH ROUNDS; prints one time a line. bench/peers/unet2d.py runs it beside Python
// torch.
#include <chrono>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <malloc.h>

#include "medseg/base/threads.h"
#include "medseg/nn/segmentation_loss.h"
#include "medseg/nn/unet/unet.h"
#include "medseg/train/optimizer.h"

int main(int argc, char** argv) {
    using namespace medseg;
    const std::string what = argc > 1 ? argv[1] : "train";
    const int batch = argc > 2 ? std::atoi(argv[2]) : 8;
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
    ::mallopt(M_MMAP_MAX, 0);
    ::mallopt(M_TRIM_THRESHOLD, 2147483647);
    torch::set_num_threads(threadCount());
    torch::manual_seed(1);
    UNet network(UNetShape{});
    for (auto& parameter : network->parameters())
        if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
    const auto images = torch::rand({batch, 1, 256, 256}).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto labels = torch::randint(0, 118, {batch, 1, 256, 256}).to(torch::kUInt8);
    Optimizer optimizer(TrainSettings{}, network->parameters());
    if (what == "predict") network->eval();
    for (int round = 0; round <= rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        if (what == "predict") {
            const c10::InferenceMode inference;
            network->forward(images);
        } else {
            optimizer.zeroGradients();
            segmentationLoss(network->forward(images), labels, {}).backward();
            optimizer.clipGradients(1.0);
            optimizer.step(1e-3);
        }
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (round > 0) fmt::print("{:.4f}\n", seconds);  // the first one warms up
    }
}
