// Times cc3d's C++ on a raw uint8 volume: cc3d_driver FILE NX NY NZ MODE ARGUMENT. Prints milliseconds.
//   components CONNECTIVITY   labels into zeroed memory, as its Python module does
//   dust THRESHOLD            26-connected labels, voxel counts, zeroing: the steps of cc3d.dust without Python's share
//   dust2d THRESHOLD          the same for every slice, 8-connected
// Built as a shared library it gives preparation.py the same dust.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "cc3d.hpp"

namespace {

std::uint32_t* label(std::uint8_t* in, std::int64_t nx, std::int64_t ny, std::int64_t nz, std::int64_t connectivity,
                     std::size_t& count) {
    const std::size_t voxels = static_cast<std::size_t>(nx * ny * nz);
    const std::size_t bound = cc3d::estimate_provisional_label_count(in, nx, static_cast<std::int64_t>(voxels)) + 1;
    auto* out = static_cast<std::uint32_t*>(std::calloc(voxels, sizeof(std::uint32_t)));
    if (nz == 1 && connectivity == 8)
        cc3d::connected_components2d_8<std::uint8_t, std::uint32_t>(in, nx, ny, bound, out, count);
    else
        cc3d::connected_components3d<std::uint8_t, std::uint32_t>(in, nx, ny, nz, bound, connectivity, out, count);
    return out;
}

void dust(std::uint8_t* in, std::int64_t nx, std::int64_t ny, std::int64_t nz, std::int64_t connectivity,
          std::uint64_t threshold) {
    std::size_t count = 0;
    std::uint32_t* labels = label(in, nx, ny, nz, connectivity, count);
    std::vector<std::uint64_t> sizes(count + 1, 0);
    const std::int64_t voxels = nx * ny * nz;
    for (std::int64_t i = 0; i < voxels; ++i) ++sizes[labels[i]];
    for (std::int64_t i = 0; i < voxels; ++i)
        if (sizes[labels[i]] < threshold) in[i] = 0;
    std::free(labels);
}

}  // namespace

extern "C" void dust_volume(std::uint8_t* in, std::int64_t nx, std::int64_t ny, std::int64_t nz,
                            std::uint64_t threshold) {
    dust(in, nx, ny, nz, 26, threshold);
}

extern "C" void dust_slices(std::uint8_t* in, std::int64_t nx, std::int64_t ny, std::int64_t nz,
                            std::uint64_t threshold) {
    for (std::int64_t z = 0; z < nz; ++z) dust(in + z * nx * ny, nx, ny, 1, 8, threshold);
}

int main(int argc, char** argv) {
    if (argc != 7) return 2;
    const std::int64_t nx = std::atoll(argv[2]), ny = std::atoll(argv[3]), nz = std::atoll(argv[4]);
    const std::int64_t argument = std::atoll(argv[6]);
    std::vector<std::uint8_t> in(static_cast<std::size_t>(nx * ny * nz));
    std::ifstream(argv[1], std::ios::binary).read(reinterpret_cast<char*>(in.data()), nx * ny * nz);
    const auto start = std::chrono::steady_clock::now();
    if (std::strcmp(argv[5], "components") == 0) {
        std::size_t count = 0;
        std::free(label(in.data(), nx, ny, nz, argument, count));
    } else if (std::strcmp(argv[5], "dust") == 0) {
        dust(in.data(), nx, ny, nz, 26, static_cast<std::uint64_t>(argument));
    } else {
        dust_slices(in.data(), nx, ny, nz, static_cast<std::uint64_t>(argument));
    }
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    std::printf("%.3f\n", time.count());
    return 0;
}
