// SAM 2 on the CPU. Usage:
//   bench_nn_sam2 encoder MODEL SIDE ROUNDS     seconds of one image through the encoder (first round warms up), one a
//   line bench_nn_sam2 flops MODEL SIDE              floating point operations of the encoder's matrix products
//   bench_nn_sam2 propagation MODEL SIDE SLICES CLASSES shared|original
//                                               seconds of a slice propagation; "original" embeds every slice again for
//                                               each class, as MedSAM2's script does
//   bench_nn_sam2 memory MODEL SIDE SLICES      seconds of a memory propagation and the peak memory of the process
// bench/peers/sam2.py runs them beside Python torch.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "medseg/base/threads.h"
#include "medseg/infer/memory_propagation.h"
#include "medseg/infer/slice_propagation.h"
#include "medseg/nn/sam2/registry.h"

namespace {

using namespace medseg;
using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

Sam2 makeModel(const std::string& name, std::int64_t side) {
    torch::manual_seed(1);
    Sam2Settings settings = sam2ByName(name);
    settings.imageSize = side;
    Sam2 model(settings);
    model->eval();
    return model;
}

void encoder(const std::string& name, std::int64_t side, int rounds) {
    torch::NoGradGuard noGradient;
    Sam2 model = makeModel(name, side);
    const torch::Tensor image = torch::rand({1, 3, side, side});
    for (int round = 0; round <= rounds; ++round) {
        const auto start = Clock::now();
        model->imageEncoder->forward(image);
        if (round > 0) fmt::print("{:.4f}\n", secondsSince(start));
    }
}

/// Multiplications and additions of linear layers and attention; convolutions of the neck and the patches included.
double encoderOperations(const Sam2Settings& s) {
    double total = 0;
    double grid = static_cast<double>(s.imageSize) / 4;
    const auto embed = static_cast<double>(s.trunk.embedDim);
    total += 2 * grid * grid * embed * 3 * 49;
    std::vector<double> mapSides;
    const auto ends = hieraStageEnds(s.trunk);
    const auto blocks = hieraBlocks(s.trunk);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const HieraBlockSettings& b = blocks[i];
        const auto dim = static_cast<double>(b.dim), out = static_cast<double>(b.dimOut);
        const double side = b.window > 0 ? static_cast<double>(b.window) : grid;
        const double perAxis = std::ceil(grid / side);
        const double tokens = perAxis * perAxis * side * side;
        const double queries = b.queryPool ? tokens / 4 : tokens;
        total += 2 * tokens * dim * 3 * out;       // qkv
        total += 4 * queries * side * side * out;  // q k^T and its product with v
        total += 2 * queries * out * out;          // projection
        if (b.dim != b.dimOut) total += 2 * grid * grid * dim * out;
        if (b.queryPool) grid /= 2;
        total += 2 * 2 * grid * grid * out * out * s.trunk.mlpRatio;
        if (std::find(ends.begin(), ends.end(), static_cast<std::int64_t>(i)) != ends.end())
            total += 2 * grid * grid * out * static_cast<double>(s.width);
    }
    return total;
}

/// Slices with a bright disc for each class.
Volume<std::uint8_t> discs(std::int64_t side, std::int64_t slices, int classes) {
    Volume<std::uint8_t> volume(Geometry({side, side, slices}, identityAffine()), 60);
    for (std::int64_t z = 0; z < slices; ++z)
        for (int c = 0; c < classes; ++c)
            for (std::int64_t y = -12; y <= 12; ++y)
                for (std::int64_t x = -12; x <= 12; ++x)
                    if (x * x + y * y <= 144) volume(30 + 40 * c + x, 40 + z / 4 + y, z) = 200;
    return volume;
}

void propagation(const std::string& name, std::int64_t side, std::int64_t count, int classes, bool original) {
    Sam2 model = makeModel(name, side);
    const Volume<std::uint8_t> slices = discs(256, count, classes);
    SlicePropagationRules rules = SlicePropagationRules::official();
    std::vector<SlicePropagationPrompt> prompts;
    for (int c = 0; c < classes; ++c) {
        const double x = 30 + 40 * c;
        prompts.push_back({c + 1, 0, count - 1, count / 2, {x - 14, 30, x + 14, 60}});
    }
    const auto receive = [](int, std::int64_t, const float*) {};
    const auto start = Clock::now();
    std::int64_t encodings = 0;
    if (original) {
        for (const auto& prompt : prompts) {
            SliceFeatures features(model, slices, SliceResize::Smooth, 0);
            propagateSlices(features, {prompt}, rules, receive);
            encodings += features.encodings();
        }
    } else {
        SliceFeatures features(model, slices, SliceResize::Smooth);
        propagateSlices(features, prompts, rules, receive);
        encodings = features.encodings();
    }
    fmt::print("{:.3f} {}\n", secondsSince(start), encodings);
}

void memory(const std::string& name, std::int64_t side, std::int64_t count) {
    Sam2 model = makeModel(name, side);
    const Volume<std::uint8_t> slices = discs(256, count, 1);
    SliceFeatures features(model, slices, SliceResize::Pillow, std::int64_t{64} << 20);
    const auto start = Clock::now();
    propagateMemory(features, {{1, {{1, count / 2, {16, 30, 44, 60}}}, 0, count - 1}},
                    [](int, std::int64_t, const float*) {});
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    fmt::print("{:.3f} {}\n", secondsSince(start), usage.ru_maxrss / 1024);
}

int run(int argc, char** argv) {
    const auto text = [&](int i, const char* fallback) { return std::string(argc > i ? argv[i] : fallback); };
    const auto number = [&](int i, int fallback) { return argc > i ? std::atoi(argv[i]) : fallback; };
    const std::string mode = text(1, "encoder");
    const std::string model = text(2, "sam2_hiera_t");
    const int side = number(3, 1024);
    torch::set_num_threads(threadCount());
    if (mode == "encoder") {
        encoder(model, side, number(4, 3));
    } else if (mode == "flops") {
        Sam2Settings settings = sam2ByName(model);
        settings.imageSize = side;
        fmt::print("{:.0f}\n", encoderOperations(settings));
    } else if (mode == "propagation") {
        propagation(model, side, number(4, 40), number(5, 5), text(6, "shared") == "original");
    } else if (mode == "memory") {
        memory(model, side, number(4, 300));
    } else {
        fmt::print(stderr, "encoder, flops, propagation or memory\n");
        return 2;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return run(argc, argv);
}
