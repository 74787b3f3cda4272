#include "medseg/io/raw_voxels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

/// Bytes behind the voxels that are tolerated, as nibabel does.
constexpr std::uint64_t kMaxTrailingBytes = std::uint64_t{64} << 20;
constexpr std::int64_t kVoxelsPerTask = 1 << 20;

Geometry stackedAlongZ(const Geometry& geometry, std::int64_t volumes) {
    const Index3& size = geometry.size();
    return {{size[0], size[1], size[2] * volumes}, geometry.affine()};
}

template <typename T>
void swapVoxels(Volume<T>& volume) {
    T* voxels = volume.data();
    parallelFor(0, volume.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) voxels[i] = byteSwapped(voxels[i]);
    });
}

/// Volume `index` (all of them for an index below 0) out of voxel-by-voxel values.
template <typename T>
Volume<T> deinterleaved(const Volume<T>& all, const Geometry& geometry, std::int64_t volumes, int index) {
    const std::int64_t first = std::max(index, 0), count = index < 0 ? volumes : 1, voxels = geometry.voxelCount();
    Volume<T> result(index < 0 ? stackedAlongZ(geometry, volumes) : geometry);
    for (std::int64_t v = 0; v < count; ++v) {
        const T* from = all.data() + first + v;
        T* to = result.data() + v * voxels;
        parallelFor(0, voxels, kVoxelsPerTask, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) to[i] = from[i * volumes];
        });
    }
    return result;
}

template <typename T>
Volume<T> readPart(ByteSource& source, const Geometry& geometry, std::uint64_t before, std::uint64_t allBytes,
                   const std::string& name) {
    Volume<T> volume(geometry);
    const std::uint64_t volumeBytes = static_cast<std::uint64_t>(geometry.voxelCount()) * sizeof(T);
    std::uint64_t found = source.skip(before);
    if (found == before)
        found += source.read({reinterpret_cast<std::uint8_t*>(volume.data()), static_cast<std::size_t>(volumeBytes)});
    if (found < before + volumeBytes)
        throw DataError(name, fmt::format("truncated: expected {} data bytes, found {}", allBytes, found));
    source.finish(allBytes - found + kMaxTrailingBytes);
    return volume;
}

template <typename T>
Volume<T> readAs(ByteSource& source, const RawVoxels& layout, std::optional<int> volumeIndex, bool stack,
                 const std::string& name) {
    const std::int64_t volumes = layout.volumeCount();
    const int index = stack ? 0 : chosenVolume(volumes, volumeIndex, name);
    const auto volumeBytes = static_cast<std::uint64_t>(layout.geometry.voxelCount()) * sizeof(T);
    const std::uint64_t allBytes = volumeBytes * static_cast<std::uint64_t>(volumes);
    if (source.atMost() < allBytes)
        throw DataError(name, fmt::format("truncated: size {} of {} needs {} bytes, the file holds at most {}",
                                          fmt::join(layout.shape, "x"), layout.type, allBytes, source.atMost()));
    const bool separate = layout.interleaved && volumes > 1;
    const bool all = stack || separate;
    const Geometry geometry = all ? stackedAlongZ(layout.geometry, volumes) : layout.geometry;
    Volume<T> volume =
        readPart<T>(source, geometry, all ? 0 : volumeBytes * static_cast<std::uint64_t>(index), allBytes, name);
    if (layout.byteOrder != nativeByteOrder()) swapVoxels(volume);
    return separate ? deinterleaved(volume, layout.geometry, volumes, stack ? -1 : index) : std::move(volume);
}

}  // namespace

std::int64_t RawVoxels::volumeCount() const {
    std::int64_t count = 1;
    for (std::size_t i = 3; i < shape.size(); ++i) count *= shape[i];
    return count;
}

int chosenVolume(std::int64_t count, std::optional<int> wanted, const std::string& source) {
    if (!wanted && count > 1)
        throw DataError(source, fmt::format("holds {} volumes: choose one with --volume 0 ... {}", count, count - 1));
    const int index = wanted.value_or(0);
    if (index < 0 || index >= count)
        throw DataError(source, fmt::format("has no volume {}: it holds {} (counted from 0)", index, count));
    return index;
}

ByteSpan voxelBytes(const AnyVolume& volume) {
    return std::visit(
        []<typename T>(const Volume<T>& voxels) {
            return ByteSpan(reinterpret_cast<const std::uint8_t*>(voxels.data()),
                            static_cast<std::size_t>(voxels.voxelCount()) * sizeof(T));
        },
        volume);
}

AnyVolume readRawVoxels(ByteSource& source, const RawVoxels& layout, std::optional<int> volumeIndex, bool stack,
                        const std::string& name) {
    auto voxels = withVoxelType(
        layout.type, [&]<typename T>(const T&) { return readAs<T>(source, layout, volumeIndex, stack, name); });
    if (!voxels) throw DataError(name, fmt::format("voxels of type {} are not supported", layout.type));
    return std::move(*voxels);
}

}  // namespace medseg
