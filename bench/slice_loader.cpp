// How fast slices get from disk to a batch: preparing cases, and loading batches with and without augmentation.
// A U-Net training step of the same batch takes seconds on a CPU and tens of milliseconds on a GPU.
//   bench_slice_loader [slice size = 256] [batch = 8]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <unistd.h>

#include "medseg/base/logging.h"
#include "medseg/dataset/phantom_files.h"
#include "medseg/dataset/preparation.h"
#include "medseg/dataset/slice_loader.h"

namespace {

using namespace medseg;

double secondsOf(const std::function<void()>& action) {
    const auto start = std::chrono::steady_clock::now();
    action();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void printRow(const std::string& what, double seconds, double count, const char* unit) {
    std::printf("%-44s %8.3f s  %10.1f %s/s\n", what.c_str(), seconds, count / seconds, unit);
}

void measureLoader(const SliceCache& cache, int batch, int workers, bool augmented) {
    std::vector<std::int64_t> slices(static_cast<std::size_t>(cache.sliceCount()));
    for (std::size_t i = 0; i < slices.size(); ++i) slices[i] = static_cast<std::int64_t>(i);
    AugmentationSettings changes;
    changes.enabled = true;
    LoaderSettings settings;
    settings.batchSize = batch;
    settings.workers = workers;
    if (augmented) settings.change = [changes](SliceSample& s, Random& random) { augment(s, changes, random); };
    SliceLoader loader(cache, slices, settings);
    constexpr int kEpochs = 3;
    const double seconds = secondsOf([&] {
        for (int epoch = 0; epoch < kEpochs; ++epoch) {
            loader.startEpoch(static_cast<std::uint64_t>(epoch));
            while (loader.next()) {
            }
        }
    });
    printRow(
        std::string("load ") + (augmented ? "and augment" : "only") + ", " + std::to_string(workers) + " worker(s)",
        seconds, static_cast<double>(kEpochs * loader.batchesPerEpoch()), "batches");
}

}  // namespace

int main(int argc, char** argv) {
    const int size = argc > 1 ? std::atoi(argv[1]) : 256, batch = argc > 2 ? std::atoi(argv[2]) : 8;
    configureLogging(LogLevel::Error);
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("medseg-loader-" + std::to_string(::getpid()));
    PhantomSettings phantom;
    phantom.cases = 4;
    printRow("phantom, 160x128x96",
             secondsOf([&] { writePhantom(phantom, PhantomLayout::TotalSegmentator, folder / "raw"); }), phantom.cases,
             "cases");
    DataSettings data;
    data.root = (folder / "raw").string();
    PrepareSettings prepare;
    prepare.imageSize = {size, size};
    const Dataset dataset = discoverDataset(data);
    std::int64_t slices = 0;
    const double seconds = secondsOf([&] { slices = prepareSlices(dataset, prepare, folder / "cache").slices; });
    printRow("prepare", seconds, static_cast<double>(slices), "slices");
    const SliceCache cache(folder / "cache");
    for (const bool augmented : {false, true})
        for (const int workers : {1, 2}) measureLoader(cache, batch, workers, augmented);
    std::filesystem::remove_all(folder);
    return 0;
}
