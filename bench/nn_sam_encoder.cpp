// SAM's ViT-B as medseg runs it. Usage: bench_nn_sam_encoder encoder|decoder|training SIZE ROUNDS [bf16]; prints one
// time in seconds a line. bench/peers/sam_encoder.py runs it beside Python torch.
#include <chrono>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <malloc.h>

#include "medseg/base/threads.h"
#include "medseg/nn/autocast.h"
#include "medseg/nn/sam/sam_registry.h"
#include "medseg/train/optimizer.h"

namespace {

using namespace medseg;

void encode(Sam& sam, std::int64_t size) {
    torch::NoGradGuard noGradient;
    sam->encodeImage(torch::rand({1, 3, size, size}));
}

/// A box prompt on an embedding that is there already.
void decode(Sam& sam, std::int64_t grid) {
    torch::NoGradGuard noGradient;
    PromptBatch prompt;
    prompt.boxes = torch::tensor({100.0F, 150.0F, 300.0F, 400.0F}).view({1, 4});
    sam->decode(torch::rand({1, 256, grid, grid}), prompt, false);
}

/// Forward, backward and AdamW over the encoder.
void train(Sam& sam, Optimizer& optimizer, std::int64_t size) {
    optimizer.zeroGradients();
    const torch::Tensor embedding = sam->encodeImage(torch::rand({1, 3, size, size}));
    embedding.square().mean().backward();
    optimizer.step(1e-4);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string work = argc > 1 ? argv[1] : "encoder";
    const std::int64_t size = argc > 2 ? std::atoll(argv[2]) : 1024;
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
    const auto precision = productPrecisionFromName(argc > 4 ? argv[4] : "fp32", torch::kCPU);
    ::mallopt(M_MMAP_MAX, 0);
    ::mallopt(M_TRIM_THRESHOLD, 2147483647);
    torch::set_num_threads(threadCount());
    torch::manual_seed(1);
    Sam sam(samShape("vit_b", size));
    TrainSettings settings;
    settings.optimizer = "adamw";
    Optimizer optimizer(settings, sam->imageEncoder->parameters());
    for (int round = 0; round <= rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        const AutocastScope autocast(precision, torch::kCPU);
        if (work == "training")
            train(sam, optimizer, size);
        else if (work == "decoder")
            decode(sam, size / 16);
        else
            encode(sam, size);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (round > 0) fmt::print("{:.4f}\n", seconds);  // the first one warms up
    }
}
