// SAM 3D's mesh decoder at the released size with random weights on a hollow sphere of about N voxels: seconds of each
// part, peak memory and the floor of its arithmetic. Usage: bench_nn_sam3d_mesh_decoder [VOXELS] [ROUNDS] [PRESET]
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "medseg/base/threads.h"
#include "medseg/nn/matrix_product.h"
#include "medseg/nn/sam3d/mesh_decoder.h"

namespace medseg {
namespace {

double peakGigabytes() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1e6;
}

template <typename Work>
double seconds(Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Voxels of a 64^3 grid within half a thickness of a sphere, as many as come nearest to `wanted`.
torch::Tensor shell(std::int64_t wanted) {
    const auto axis = torch::arange(64, torch::kFloat) - 31.5;
    const auto grid = torch::meshgrid({axis, axis, axis}, "ij");
    const auto distance = ((grid[0].square() + grid[1].square() + grid[2].square()).sqrt() - 26).abs().flatten();
    const auto rows = std::get<1>(distance.sort()).narrow(0, 0, wanted);
    const auto sorted = std::get<0>(rows.sort());
    return torch::stack(
        {torch::div(sorted, 4096, "floor"), torch::div(sorted, 64, "floor").remainder(64), sorted.remainder(64)}, 1);
}

double pairs(const SparseTapsPointer& taps) {
    double sum = 0;
    for (const auto& rows : taps->input) sum += static_cast<double>(rows.size(0));
    return sum;
}

struct Work {
    double torso = 0, upsampling = 0, naive = 0;  ///< multiplications and additions
};

Work workOf(const MeshDecoderShape& shape, SparseStructure& structure) {
    const auto n = static_cast<double>(structure.size()), c = static_cast<double>(shape.torso.width);
    Work work;
    double attention = 0;
    for (std::int64_t block = 0; block < shape.torso.blocks; ++block)
        for (const auto& run : structure.windows(shape.torso.window, shape.torso.shiftOf(block)).runs)
            attention += 4 * static_cast<double>(run.groups * run.size * run.size) * c;
    const double layers = 2 * n * c * c * (4 + 2 * static_cast<double>(shape.torso.mlpRatio));
    work.torso = static_cast<double>(shape.torso.blocks) * layers + attention;
    SparseStructure* grid = &structure;
    for (const double in : {c, c / 4}) {
        const double out = in == c ? c / 4 : c / 8;
        SparseStructure& children = *grid->subdivided();
        const double second = 2 * pairs(children.neighbours()) * out * out;
        work.upsampling += 2 * pairs(grid->childNeighbours()) * in * out + second;
        work.naive += 2 * pairs(children.neighbours()) * in * out + second;
        grid = &children;
    }
    return work;
}

/// GFLOP/s of a product of large matrices: the ceiling of everything here.
double ceiling() {
    const auto a = torch::randn({4096, 768}), b = torch::randn({3072, 768});
    linearProduct(a, b, {});
    return 2.0 * 4096 * 768 * 3072 / 1e9 / seconds([&] { linearProduct(a, b, {}); });
}

}  // namespace
}  // namespace medseg

int main(int argc, char** argv) {
    using namespace medseg;
    const std::int64_t voxels = argc > 1 ? std::atol(argv[1]) : 10000;
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
    torch::set_num_threads(threadCount());
    torch::NoGradGuard noGradient;
    const MeshDecoderShape shape = meshDecoderShape(argc > 3 ? argv[3] : "official");
    MeshDecoder decoder(shape);
    torch::nn::init::xavier_uniform_(decoder->outputLayer()->weight);  // it starts at zero
    const auto coordinates = shell(voxels);
    const auto latents = torch::randn({voxels, shape.torso.inChannels});
    const double best = ceiling();
    fmt::print("{} voxels, {} threads, products of large matrices {:.0f} GFLOP/s\n", voxels, threadCount(), best);
    for (int round = 0; round < rounds; ++round) {
        const auto structure = SparseStructure::single(coordinates);
        torch::Tensor x;
        const double torso = seconds([&] { x = decoder->torso()->forward(latents, *structure); });
        SparseStructurePointer grid = structure;
        double upsampling = 0, neighbours = 0;
        for (const std::size_t block : {0, 1}) {
            neighbours += seconds([&] { grid->childNeighbours(), grid->subdivided()->neighbours(); });
            upsampling += seconds([&] { x = decoder->upsampling(block)->forward(x, *grid); });
            grid = grid->subdivided();
        }
        DecodedField field;
        const double head = seconds([&] { field = {grid, decoder->outputLayer()->forward(x)}; });
        std::vector<DecodedMesh> meshes;
        const double surface = seconds([&] { meshes = decoder->meshes(field, false); });
        const Work work = workOf(shape, *structure);
        const double total = torso + neighbours + upsampling + head + surface;
        const double floor = (work.torso + work.upsampling) / 1e9 / best;
        fmt::print(
            "total {:.1f} s: torso {:.1f} ({:.2f} TFLOP), neighbours {:.1f}, upsampling {:.1f} ({:.2f} TFLOP, "
            "{:.2f} without shared children), out layer {:.1f}, mesh {:.1f}; floor {:.1f} s; {} vertices, "
            "{} triangles; peak {:.2f} GB\n",
            total, torso, work.torso / 1e12, neighbours, upsampling, work.upsampling / 1e12, work.naive / 1e12, head,
            surface, floor, meshes.at(0).vertices.size(0), meshes.at(0).faces.size(0), peakGigabytes());
    }
}
