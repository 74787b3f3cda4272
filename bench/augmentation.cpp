// Microseconds one thread needs to augment a slice of 256 x 256 with one label layer, effect by effect. A U-Net training
// step takes about 400 ms a slice on two cores and a few ms on a GPU. Usage: bench_augmentation [SIZE = 256]
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "medseg/dataset/augmentation.h"

namespace {

using namespace medseg;

void measure(const std::string& what, int size, const std::function<void(AugmentationSettings&)>& choose) {
    AugmentationSettings settings;
    settings.enabled = true;
    settings.probability = settings.effectProbability = 1;
    choose(settings);
    SliceSample sample;
    sample.height = sample.width = size;
    for (int i = 0; i < size * size; ++i) {
        sample.image.push_back(static_cast<float>(i % 97) / 97);
        sample.labels.push_back(static_cast<std::uint16_t>(i / 1000));
    }
    std::vector<double> microseconds;
    for (int round = 0; round < 200; ++round) {
        Random random(1, static_cast<std::uint64_t>(round));
        const auto start = std::chrono::steady_clock::now();
        augment(sample, settings, random);
        microseconds.push_back(
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
    std::nth_element(microseconds.begin(), microseconds.begin() + 100, microseconds.end());
    fmt::print("{:40} {:8.0f} us\n", what, microseconds[100]);
}

}  // namespace

int main(int argc, char** argv) {
    const int size = argc > 1 ? std::atoi(argv[1]) : 256;
    measure("default: shape, gamma, contrast, noise", size, [](auto&) {});
    measure("with elastic deformation", size, [](auto& s) { s.elastic = 0.03; });
    measure("with blur", size, [](auto& s) { s.blur = 1.5; });
    measure("with low resolution", size, [](auto& s) { s.lowResolution = 0.5; });
    measure("everything", size, [](auto& s) {
        s.elastic = 0.03;
        s.blur = 1.5;
        s.lowResolution = 0.5;
        s.intensityScale = {0.8, 1.2};
    });
}
