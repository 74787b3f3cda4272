#include "medseg/io/splat_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

static_assert(std::endian::native == std::endian::little, "splats are written in native byte order");

constexpr std::size_t kSplatsAtATime = 1 << 14;
constexpr float kLeastOpacity = 1e-6F, kLeastScale = 1e-12F;

using Row = std::array<float, 17>;

Row rowOf(const Splat& splat) {
    const float opacity = std::clamp(splat.opacity, kLeastOpacity, 1 - kLeastOpacity);
    Row row{};
    for (std::size_t i = 0; i < 3; ++i) {
        row[i] = splat.centre[i];
        row[6 + i] = splat.color[i];
        row[10 + i] = std::log(std::max(splat.scale[i], kLeastScale));
    }
    row[9] = std::log(opacity / (1 - opacity));
    for (std::size_t i = 0; i < 4; ++i) row[13 + i] = splat.rotation[i];
    return row;
}

}  // namespace

void writeSplats(const std::filesystem::path& path, std::span<const Splat> splats) {
    if (path.extension() != ".ply") throw UsageError(fmt::format("{}: splats are written as .ply", path.string()));
    AtomicFile file(path);
    std::string text = fmt::format("ply\nformat binary_little_endian 1.0\nelement vertex {}\n", splats.size());
    for (const char* name : {"x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0",
                             "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"})
        text += fmt::format("property float {}\n", name);
    file.write(text + "end_header\n");
    for (std::size_t first = 0; first < splats.size(); first += kSplatsAtATime) {
        std::string bytes;
        for (const Splat& splat : splats.subspan(first, std::min(kSplatsAtATime, splats.size() - first))) {
            const Row row = rowOf(splat);
            bytes.append(reinterpret_cast<const char*>(row.data()), sizeof(row));
        }
        file.write(bytes);
    }
    file.commit();
}

}  // namespace medseg
