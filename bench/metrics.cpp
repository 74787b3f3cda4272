// Overlap and surface metrics of a whole label map. One measurement a call, so that bench/peers/metrics.py can
// alternate with the peers:
//   bench_metrics generate FOLDER LABELS   reference.npy and prediction.npy, 512x512x200, shape (z, y, x)
//   bench_metrics surface FOLDER           seconds of HD95, HD100, both ASD and surface Dice of all labels
//   bench_metrics overlap FOLDER           seconds of the confusion of all labels, best of 9
//   bench_metrics read FOLDER              seconds of reading both volumes once, best of 9
//   bench_metrics memory FOLDER            peak memory of `surface` beyond the input, bytes a voxel
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>

#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/io/npy.h"
#include "medseg/metrics/surface.h"

namespace {

using namespace medseg;

constexpr Index3 kSize{512, 512, 200};
constexpr Vec3 kSpacing{0.8, 0.8, 2.5};

struct Blob {
    Vec3 center;  // voxels
    Vec3 radius;
};

/// Organs of very different size, spread over the trunk.
std::vector<Blob> organs(int count) {
    Random random(20);
    std::vector<Blob> blobs(count);
    for (Blob& blob : blobs) {
        const double scale = std::pow(count / 20.0, -1.0 / 3) * random.uniform(0.5, 1.5);
        for (int axis = 0; axis < 3; ++axis) {
            blob.radius[axis] = scale * random.uniform(0.06, 0.12) * static_cast<double>(kSize[axis]);
            blob.center[axis] = random.uniform(0.15, 0.85) * static_cast<double>(kSize[axis]);
        }
    }
    return blobs;
}

/// What a network makes of them: borders off by a few voxels, and for every fourth an island far away.
std::vector<Blob> predicted(std::vector<Blob> blobs) {
    Random random(21);
    for (Blob& blob : blobs)
        for (int axis = 0; axis < 3; ++axis) {
            blob.radius[axis] *= random.uniform(0.93, 1.07);
            blob.center[axis] += random.uniform(-1.5, 1.5);
        }
    return blobs;
}

void paint(const Blob& blob, std::uint8_t label, Volume<std::uint8_t>& volume) {
    const auto low = [&](int axis) {
        return std::max<std::int64_t>(0, static_cast<std::int64_t>(blob.center[axis] - 1.2 * blob.radius[axis]));
    };
    const auto high = [&](int axis) {
        return std::min(kSize[axis], static_cast<std::int64_t>(blob.center[axis] + 1.2 * blob.radius[axis]) + 2);
    };
    for (std::int64_t z = low(2); z < high(2); ++z)
        for (std::int64_t y = low(1); y < high(1); ++y)
            for (std::int64_t x = low(0); x < high(0); ++x) {
                const double dx = (static_cast<double>(x) - blob.center[0]) / blob.radius[0];
                const double dy = (static_cast<double>(y) - blob.center[1]) / blob.radius[1];
                const double dz = (static_cast<double>(z) - blob.center[2]) / blob.radius[2];
                const double bumps = 0.1 * std::sin(7 * dx) * std::cos(5 * dy + 3 * dz);
                if (dx * dx + dy * dy + dz * dz + bumps <= 1) volume(x, y, z) = label;
            }
}

void save(const std::vector<Blob>& blobs, bool withIslands, const std::filesystem::path& path) {
    Volume<std::uint8_t> volume(Geometry::axisAligned(kSize, kSpacing), 0);
    for (std::size_t i = 0; i < blobs.size(); ++i) paint(blobs[i], static_cast<std::uint8_t>(i + 1), volume);
    if (withIslands)
        for (std::size_t i = 0; i < blobs.size(); i += 4) {
            Blob island = blobs[i];
            for (int axis = 0; axis < 3; ++axis) {
                const double side = island.center[axis] > 0.5 * static_cast<double>(kSize[axis]) ? -1 : 1;
                island.center[axis] += side * 1.8 * island.radius[axis];
                island.radius[axis] *= 0.15;
            }
            paint(island, static_cast<std::uint8_t>(i + 1), volume);
        }
    writeNpy(path, NpyArray::of<std::uint8_t>({kSize[2], kSize[1], kSize[0]}, volume.data()));
}

LabelMap load(const std::filesystem::path& path) {
    NpyArray array = readNpy(path);
    Volume<std::uint8_t> volume(Geometry::axisAligned({array.shape[2], array.shape[1], array.shape[0]}, kSpacing));
    std::memcpy(volume.data(), array.as<std::uint8_t>(), array.bytes.size());
    return LabelMap(std::move(volume));
}

double seconds(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double bestOf(int repeats, const std::function<void()>& work) {
    double best = seconds(work);
    for (int i = 1; i < repeats; ++i) best = std::min(best, seconds(work));
    return best;
}

double measureSurfaces(const LabelMap& reference, const LabelMap& prediction) {
    const Confusion confusion = confusionOf(reference, prediction, true);
    const std::vector<int> ids = confusion.allIds();
    std::vector<double> sums(ids.size());
    parallelForEach(0, static_cast<std::int64_t>(ids.size()), [&](std::int64_t i) {
        const SurfaceDistances distances =
            surfaceDistances({&reference, ids[i], confusion.referenceBox(ids[i])},
                             {&prediction, ids[i], confusion.predictionBox(ids[i])}, false);
        sums[i] = distances.hausdorff(95) + distances.hausdorff(100) + distances.averageFromReference() +
                  distances.averageFromPrediction() + distances.surfaceDice(1);
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

std::uint64_t readBoth(const LabelMap& a, const LabelMap& b) {
    std::vector<std::uint64_t> sums(1024, 0);
    for (const LabelMap* map : {&a, &b})
        map->visit([&](const auto& volume) {
            const std::int64_t words = volume.voxelCount() * static_cast<std::int64_t>(sizeof(volume.data()[0])) / 8;
            const auto* data = reinterpret_cast<const std::uint64_t*>(volume.data());
            parallelForEach(0, 1024, [&](std::int64_t part) {
                std::uint64_t sum = 0;
                for (std::int64_t i = words * part / 1024; i < words * (part + 1) / 1024; ++i) sum += data[i];
                sums[part] += sum;
            });
        });
    return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

/// A line of /proc/self/status, in bytes.
std::int64_t statusBytes(const std::string& key) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
    return 0;
}

/// Peak of resident memory while `work` runs, beyond what was resident before.
std::int64_t peakBytes(const std::function<void()>& work) {
    std::ofstream("/proc/self/clear_refs") << "5";  // starts the high-water mark anew
    const std::int64_t before = statusBytes("VmRSS");
    work();
    return statusBytes("VmHWM") - before;
}

int run(const std::string& command, const std::filesystem::path& folder, int labels) {
    if (command == "generate") {
        const std::vector<Blob> blobs = organs(labels);
        save(blobs, false, folder / "reference.npy");
        save(predicted(blobs), true, folder / "prediction.npy");
        return 0;
    }
    const LabelMap reference = load(folder / "reference.npy"), prediction = load(folder / "prediction.npy");
    double result = 0;
    volatile double sink = 0;
    if (command == "surface") {
        result = seconds([&] { sink = measureSurfaces(reference, prediction); });
    } else if (command == "overlap") {
        result = bestOf(9, [&] { sink = static_cast<double>(confusionOf(reference, prediction).cells().size()); });
    } else if (command == "read") {
        result = bestOf(9, [&] { sink = static_cast<double>(readBoth(reference, prediction)); });
    } else if (command == "memory") {
        const std::int64_t bytes = peakBytes([&] { sink = measureSurfaces(reference, prediction); });
        result = static_cast<double>(bytes) / static_cast<double>(reference.geometry().voxelCount());
    } else {
        std::fprintf(stderr, "bench_metrics: unknown command \"%s\"\n", command.c_str());
        return 2;
    }
    std::printf("%.9g\n", result);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: bench_metrics generate|surface|overlap|read|memory FOLDER [LABELS]\n");
        return 2;
    }
    return run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 20);
}
