// Opening, checking and converting a checkpoint of the size of SAM ViT-H (2.5 GB), against torch.load on the same file:
// scripts and peers in bench/peers/checkpoint_io.sh. Usage: bench_checkpoint_io write|open|convert FILE [OUT].
#include <chrono>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/torch_checkpoint.h"

namespace {

using namespace medseg;

/// A transformer of `depth` blocks of `width` channels, twelve tensors each, as ViT-H has them; values from a counter.
NamedTensors makeWeights(std::int64_t width, int depth) {
    NamedTensors tensors;
    std::uint32_t state = 1;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
        std::vector<float> values(static_cast<std::size_t>(checkedElementCount(shape, name)));
        for (float& value : values) {
            state = state * 1664525u + 1013904223u;
            value = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
        }
        tensors.emplace_back(name, TensorRecord::ofFloats(std::move(shape), values));
    };
    for (int block = 0; block < depth; ++block) {
        const std::string prefix = fmt::format("blocks.{}.", block);
        for (const char* norm : {"norm1", "norm2"}) {
            add(prefix + norm + ".weight", {width});
            add(prefix + norm + ".bias", {width});
        }
        add(prefix + "attn.qkv.weight", {3 * width, width});
        add(prefix + "attn.qkv.bias", {3 * width});
        add(prefix + "attn.proj.weight", {width, width});
        add(prefix + "attn.proj.bias", {width});
        add(prefix + "mlp.lin1.weight", {4 * width, width});
        add(prefix + "mlp.lin1.bias", {4 * width});
        add(prefix + "mlp.lin2.weight", {width, 4 * width});
        add(prefix + "mlp.lin2.bias", {width});
    }
    return tensors;
}

int run(const std::string& action, const std::string& file, const std::string& output) {
    NamedTensors weights;
    if (action == "write") weights = makeWeights(1280, 32);
    const auto start = std::chrono::steady_clock::now();
    if (action == "write") {
        writeTorchFile(file, PickleValue::stateDict(weights));
    } else if (action == "open") {
        if (readStateDict(file).tensors.empty()) return 1;
    } else if (action == "convert") {
        convertCheckpoint(file, output, {TensorDtype::F16, {}, {}});
    } else {
        fmt::print(stderr, "write, open or convert expected, not {}\n", action);
        return 2;
    }
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    fmt::print("{:.3f}\n", elapsed.count());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 3) throw medseg::UsageError("usage: bench_checkpoint_io write|open|convert FILE [OUT]");
        return run(argv[1], argv[2], argc > 3 ? argv[3] : "");
    } catch (const medseg::Error& error) {
        fmt::print(stderr, "{}\n", error.what());
        return static_cast<int>(error.exitCode());
    }
}
