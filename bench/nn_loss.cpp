// Seconds of each training loss, value and gradient, for a batch of 117 structures on slices of 256 x 256. The floor
// is memory: logits read twice, probabilities written, read and written again: 5 tensors. Usage:
// bench_nn_loss [BATCH ROUNDS]; prints loss, milliseconds, GB/s over the floor's bytes and a hash of the gradient.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <malloc.h>

#include "medseg/base/threads.h"
#include "medseg/nn/segmentation_loss.h"

namespace {

/// FNV-1a over the bits: equal hashes mean equal gradients.
std::uint64_t hashOf(const torch::Tensor& tensor) {
    const auto values = tensor.contiguous();
    const auto* bits = reinterpret_cast<const std::uint32_t*>(values.data_ptr<float>());
    std::uint64_t hash = 1469598103934665603ULL;
    for (std::int64_t i = 0; i < values.numel(); ++i) hash = (hash ^ bits[i]) * 1099511628211ULL;
    return hash;
}

void measure(const std::string& name, const torch::Tensor& logits, const torch::Tensor& labels,
             const medseg::SegmentationLossOptions& options, int rounds) {
    std::vector<double> seconds;
    torch::Tensor gradient;
    double value = 0;
    for (int round = 0; round <= rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        const auto loss = medseg::segmentationLoss(logits, labels, options);
        gradient = torch::autograd::grad({loss}, {logits})[0];
        value = loss.item<double>();
        if (round > 0)
            seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
    const double median = seconds[seconds.size() / 2];
    fmt::print("{:24} {:8.1f} ms  {:5.1f} GB/s  loss {:.6f}  gradient {:016x}\n", name, 1e3 * median,
               5.0 * 4 * static_cast<double>(logits.numel()) / median / 1e9, value, hashOf(gradient));
}

}  // namespace

int main(int argc, char** argv) {
    using namespace medseg;
    const int batch = argc > 1 ? std::atoi(argv[1]) : 8;
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
    ::mallopt(M_MMAP_MAX, 0);
    ::mallopt(M_TRIM_THRESHOLD, 2147483647);
    torch::set_num_threads(threadCount());
    torch::manual_seed(1);
    const auto labels = torch::randint(0, 118, {batch, 1, 256, 256}).to(torch::kUInt8);
    const auto start = (torch::randn({batch, 117, 256, 256}) * 3).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto logits = start.clone().requires_grad_();
    const auto wide = torch::randn({batch, 118, 256, 256}).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto logits118 = wide.clone().requires_grad_();
    measure("bce", logits, labels, {OutputKind::Sigmoid, 1, 0}, rounds);
    measure("bce_dice", logits, labels, {OutputKind::Sigmoid, 1, 1}, rounds);
    measure("ce", logits118, labels, {OutputKind::Softmax, 1, 0}, rounds);
    measure("ce_dice", logits118, labels, {OutputKind::Softmax, 1, 1}, rounds);
    SegmentationLossOptions options{OutputKind::Sigmoid, 1, 0};
    options.focalGamma = 2;
    measure("focal", logits, labels, options, rounds);
    options.diceWeight = 1;
    measure("focal_dice", logits, labels, options, rounds);
    options.output = OutputKind::Softmax;
    measure("focal_dice, softmax", logits118, labels, options, rounds);
    options = {OutputKind::Sigmoid, 1, 1};
    options.overlap = OverlapForm::Tversky;
    measure("bce_tversky", logits, labels, options, rounds);
    options.overlap = OverlapForm::Generalized;
    measure("bce_generalized_dice", logits, labels, options, rounds);
    options = {OutputKind::Sigmoid, 1, 1};
    options.classWeights.assign(117, 2.0F);
    options.ignoreLabel = 117;
    measure("bce_dice, weights, ignore", logits, labels, options, rounds);
}
