// Imaging kernels on 512 x 512 x 200 voxels. With --write DIR it writes the inputs as labels.npy and image.npy (for
// bench/peers/imaging.py) and ends.
#include <cstring>
#include <span>

#include <benchmark/benchmark.h>

#include "label_volume.h"
#include "medseg/imaging/components.h"
#include "medseg/imaging/distance.h"
#include "medseg/imaging/filter.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/morphology.h"
#include "medseg/imaging/resample.h"
#include "medseg/imaging/window.h"
#include "medseg/imaging/zoom.h"
#include "medseg/io/npy.h"

namespace medseg::bench {
namespace {

// Inputs are made once, before the first benchmark that uses them starts its clock.

const Volume<std::uint8_t>& labels() {
    static const auto volume = labelVolume();
    return volume;
}
const Volume<std::int16_t>& image() {
    static const auto volume = imageVolume();
    return volume;
}
const Volume<std::uint8_t>& outside() {
    static const auto volume = [] {
        Volume<std::uint8_t> mask(benchGeometry());
        for (std::int64_t i = 0; i < mask.voxelCount(); ++i) mask.data()[i] = labels().data()[i] == 0;
        return mask;
    }();
    return volume;
}

void setBytes(benchmark::State& state, double bytesPerVoxel) {
    state.SetBytesProcessed(
        static_cast<std::int64_t>(static_cast<double>(state.iterations() * labels().voxelCount()) * bytesPerVoxel));
}

void components(benchmark::State& state) {
    const auto connectivity = static_cast<Connectivity>(state.range(0));
    labels();
    for (auto _ : state) benchmark::DoNotOptimize(labelComponents(labels(), connectivity).count);
    setBytes(state, 5);
}
BENCHMARK(components)->Arg(6)->Arg(18)->Arg(26);

void statistics(benchmark::State& state) {
    labels();
    for (auto _ : state) benchmark::DoNotOptimize(findComponents(labels(), Connectivity::TwentySix).size());
    setBytes(state, 1);
}
BENCHMARK(statistics);

void dust(benchmark::State& state) {
    const auto connectivity = static_cast<Connectivity>(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        auto copy = labels().clone();
        state.ResumeTiming();
        benchmark::DoNotOptimize(removeSmallComponents(copy, state.range(1), connectivity));
    }
    setBytes(state, 1);
}
BENCHMARK(dust)->Args({26, 1000})->Args({8, 100});

void edtInside(benchmark::State& state) {
    labels();
    for (auto _ : state) benchmark::DoNotOptimize(distanceToZero(labels()).data());
    setBytes(state, 5);
}
BENCHMARK(edtInside);

void edtOutside(benchmark::State& state) {
    outside();
    for (auto _ : state) benchmark::DoNotOptimize(distanceToZero(outside()).data());
    setBytes(state, 5);
}
BENCHMARK(edtOutside);

void surfaces(benchmark::State& state) {
    const LabelMap map(labelVolume(20, 0));
    for (auto _ : state) benchmark::DoNotOptimize(extractLabelSurfaces(map).size());
}
BENCHMARK(surfaces);

void zoomCubic(benchmark::State& state) {
    // 0.8 x 0.8 x 2.5 mm to 1.5 mm.
    image();
    for (auto _ : state)
        benchmark::DoNotOptimize(
            zoomVolume(image(), {0.8 / 1.5, 0.8 / 1.5, 2.5 / 1.5}, {3, Boundary::Nearest, false, 0}).data());
    setBytes(state, 2);
}
BENCHMARK(zoomCubic);

void zoomLinear(benchmark::State& state) {
    image();
    for (auto _ : state)
        benchmark::DoNotOptimize(
            resampleTo(image(), withSpacing(benchGeometry(), {1.5, 1.5, 1.5}), Interpolation::Linear).data());
    setBytes(state, 2);
}
BENCHMARK(zoomLinear);

void windowing(benchmark::State& state) {
    Volume<std::uint8_t> out(benchGeometry());
    image();
    for (auto _ : state)
        scaleToBytes(std::span<const std::int16_t>(image().voxels()), windowScale({40, 400}), out.voxels());
    setBytes(state, 3);
}
BENCHMARK(windowing);

void holes(benchmark::State& state) {
    labels();
    for (auto _ : state) benchmark::DoNotOptimize(fillHoles(labels()).data());
    setBytes(state, 2);
}
BENCHMARK(holes);

void erosion(benchmark::State& state) {
    const auto element = StructuringElement::neighbours(1);
    labels();
    for (auto _ : state) benchmark::DoNotOptimize(erode(labels(), element).data());
    setBytes(state, 2);
}
BENCHMARK(erosion);

void gaussian(benchmark::State& state) {
    image();
    for (auto _ : state) benchmark::DoNotOptimize(gaussianFilter(image(), {1, 1, 1}).data());
    setBytes(state, 4);
}
BENCHMARK(gaussian);

void write(const std::string& folder) {
    writeNpy(folder + "/labels.npy", NpyArray::of({200, 512, 512}, labels().data()));
    writeNpy(folder + "/organs.npy", NpyArray::of({200, 512, 512}, labelVolume(20, 0).data()));
    writeNpy(folder + "/image.npy", NpyArray::of({200, 512, 512}, image().data()));
}

}  // namespace
}  // namespace medseg::bench

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "--write") == 0) {
        medseg::bench::write(argv[2]);
        return 0;
    }
    benchmark::SetDefaultTimeUnit(benchmark::kMillisecond);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
