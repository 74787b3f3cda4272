// Reading and writing of a 512x512x200 int16 NIfTI file, and the floors under both. Run by bench/peers/nifti_io.py,
// which takes the same measurements with nibabel in turn.
//   nifti_io generate FILE.nii.gz     a CT-like volume (body, lungs, spine, noise)
//   nifti_io read FILE [repeats]      seconds to have the stored voxels in memory
//   nifti_io write FILE.nii.gz OUT    seconds to write the voxels of FILE compressed
//   nifti_io inflate FILE.nii.gz      seconds of one thread of ISA-L inflating the whole file, without checksum
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <isa-l/igzip_lib.h>

#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace {

using namespace medseg;

double secondsOf(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool inEllipse(std::int64_t x, std::int64_t y, double cx, double cy, double rx, double ry) {
    const double dx = (static_cast<double>(x) - cx) / rx, dy = (static_cast<double>(y) - cy) / ry;
    return dx * dx + dy * dy < 1;
}

/// Cheap normal deviate: the sum of four bytes, mean 0, deviation 1.
double noise(std::uint64_t& state) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const std::uint64_t bits = state >> 32;
    const auto sum = static_cast<double>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
    return (sum - 510) / 147.8;
}

void generate(const std::string& path) {
    Volume<std::int16_t> volume(Geometry::axisAligned({512, 512, 200}, {0.8, 0.8, 1.5}));
    std::uint64_t state = 1;
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const bool body = inEllipse(x, y, 256, 256, 220, 160);
                double value = body ? 40 : -1000;
                if (inEllipse(x, y, 180, 256, 70, 100) || inEllipse(x, y, 330, 256, 70, 100)) value = -850;
                if (inEllipse(x, y, 256, 380, 25, 25)) value = 500;
                value += (body ? 12 : 4) * noise(state);
                volume(x, y, z) = static_cast<std::int16_t>(std::clamp(value, -1024.0, 3000.0));
            }
    writeImage(path, AnyVolume(std::move(volume)));
}

double inflateOnly(const std::string& path) {
    const MappedFile file(path);
    std::vector<std::uint8_t> output(std::size_t{512} * 512 * 200 * 2 + 352);
    return secondsOf([&] {
        inflate_state state;
        isal_gzip_header header;
        isal_inflate_init(&state);
        isal_gzip_header_init(&header);
        state.crc_flag = ISAL_GZIP_NO_HDR;
        state.next_in = const_cast<std::uint8_t*>(file.bytes().data());
        state.avail_in = static_cast<std::uint32_t>(file.bytes().size());
        isal_read_gzip_header(&state, &header);
        state.crc_flag = ISAL_DEFLATE;
        state.next_out = output.data();
        state.avail_out = static_cast<std::uint32_t>(output.size());
        isal_inflate(&state);
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string mode = argc > 2 ? argv[1] : "";
    const std::string file = argc > 2 ? argv[2] : "";
    if (mode == "generate") {
        generate(file);
    } else if (mode == "read") {
        std::printf("%.6f\n", secondsOf([&] { readStoredImage(file); }));
    } else if (mode == "write" && argc > 3) {
        const StoredImage image = readStoredImage(file);
        std::printf("%.6f\n", secondsOf([&] { writeImage(argv[3], image.voxels); }));
    } else if (mode == "inflate") {
        std::printf("%.6f\n", inflateOnly(file));
    } else {
        std::fprintf(stderr, "usage: %s generate|read|write|inflate FILE [OUT]\n", argv[0]);
        return 2;
    }
    return 0;
}
