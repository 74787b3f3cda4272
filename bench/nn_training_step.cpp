// The standard U-Net as medseg trains it: seconds of a training step, one a line.
// Usage: bench_nn_training_step BATCH ROUNDS [bf16]. bench/peers/training_step.py runs it beside Python torch.
#include <chrono>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <malloc.h>

#include "medseg/base/threads.h"
#include "medseg/nn/autocast.h"
#include "medseg/nn/segmentation_loss.h"
#include "medseg/nn/unet/unet.h"
#include "medseg/train/optimizer.h"

int main(int argc, char** argv) {
    using namespace medseg;
    const int batch = argc > 1 ? std::atoi(argv[1]) : 8;
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
    const auto precision = argc > 3 && std::string(argv[3]) == "bf16" ? ProductPrecision::Bf16 : ProductPrecision::Fp32;
    const auto forward = [&](UNet& network, const torch::Tensor& images) {
        const AutocastScope autocast(precision, torch::kCPU);
        return network->forward(images);
    };
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
    for (int round = 0; round <= rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        optimizer.zeroGradients();
        segmentationLoss(forward(network, images), labels, {}).backward();
        optimizer.clipGradients(1.0);
        optimizer.step(1e-3);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (round > 0) fmt::print("{:.4f}\n", seconds);  // the first one warms up
    }
}
