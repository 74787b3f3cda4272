#include "medseg/imaging/voxel_type.h"

#include <atomic>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/convert.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr std::int64_t kVoxelsPerTask = 1 << 18;

template <typename Out>
constexpr bool doesNotFit(double value) {
    if constexpr (std::is_floating_point_v<Out>) return false;
    return !(value > static_cast<double>(std::numeric_limits<Out>::min()) - 0.5 &&
             value < static_cast<double>(std::numeric_limits<Out>::max()) + 0.5);
}

template <typename Out>
AnyVolume convert(const AnyVolume& stored, double slope, double inter, std::int64_t* clampedVoxels) {
    return std::visit(
        [&]<typename In>(const Volume<In>& from) -> AnyVolume {
            Volume<Out> to(from.geometry());
            std::atomic<std::int64_t> clamped{0};
            const bool exact = std::is_same_v<In, Out> && slope == 1 && inter == 0;
            parallelFor(0, from.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
                if (exact) {
                    std::transform(from.data() + first, from.data() + last, to.data() + first,
                                   [](In v) { return static_cast<Out>(v); });
                    return;
                }
                std::int64_t here = 0;
                for (std::int64_t i = first; i < last; ++i) {
                    const double value = static_cast<double>(from.data()[i]) * slope + inter;
                    to.data()[i] = convertValue<Out>(value);
                    here += doesNotFit<Out>(value) ? 1 : 0;
                }
                clamped += here;
            });
            if (clampedVoxels != nullptr) *clampedVoxels = clamped;
            return to;
        },
        stored);
}

}  // namespace

AnyVolume convertVoxelType(const AnyVolume& stored, const std::string& typeName, double slope, double inter,
                           std::int64_t* clampedVoxels) {
    auto converted =
        withVoxelType(typeName, [&]<typename T>(const T&) { return convert<T>(stored, slope, inter, clampedVoxels); });
    if (converted) return std::move(*converted);
    throw UsageError(
        fmt::format("voxel type \"{}\" is not known: use uint8, int8, uint16, int16, uint32, int32, uint64, int64, "
                    "float32 or float64",
                    typeName));
}

}  // namespace medseg
