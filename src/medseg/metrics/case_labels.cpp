#include "medseg/metrics/case_labels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"
#include "medseg/io/image_file.h"
#include "medseg/io/npy.h"
#include "medseg/metrics/segment_grid.h"

namespace medseg {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> kReferenceKeys{"gts", "gt", "labels", "label", "masks"};
constexpr std::array<std::string_view, 5> kPredictionKeys{"segs", "seg", "prediction", "predictions", "pred"};

/// The array of labels: the side's usual key, the other side's, or the only array there is.
std::string labelKey(const NpzFile& file, const fs::path& path, CaseSide side) {
    const auto& own = side == CaseSide::Reference ? kReferenceKeys : kPredictionKeys;
    const auto& other = side == CaseSide::Reference ? kPredictionKeys : kReferenceKeys;
    for (const auto* keys : {&own, &other})
        for (const std::string_view key : *keys)
            if (file.contains(std::string(key))) return std::string(key);
    const std::vector<std::string> names = file.names();
    if (names.size() == 1) return names.front();
    throw DataError(path.string(),
                    fmt::format("no array of labels among {}: name it \"{}\"", fmt::join(names, ", "), own.front()));
}

Vec3 npzSpacing(const NpzFile& file) {
    if (!file.contains("spacing")) return {1, 1, 1};
    const std::vector<double> values = file.read("spacing").toDoubles();
    Vec3 spacing{1, 1, 1};
    if (values.size() == 2 || values.size() == 3) std::copy(values.begin(), values.end(), spacing.begin());
    return spacing;
}

template <typename T>
AnyVolume asVolume(const NpyArray& array, const Geometry& geometry) {
    Volume<T> volume(geometry);
    std::copy_n(reinterpret_cast<const T*>(array.bytes.data()), volume.voxelCount(), volume.data());
    return volume;
}

AnyVolume toVolume(const NpyArray& array, const Geometry& geometry, const std::string& source) {
    switch (array.type) {
        case NpyType::Bool:
        case NpyType::U8:
            return asVolume<std::uint8_t>(array, geometry);
        case NpyType::I8:
            return asVolume<std::int8_t>(array, geometry);
        case NpyType::U16:
            return asVolume<std::uint16_t>(array, geometry);
        case NpyType::I16:
            return asVolume<std::int16_t>(array, geometry);
        case NpyType::U32:
            return asVolume<std::uint32_t>(array, geometry);
        case NpyType::I32:
            return asVolume<std::int32_t>(array, geometry);
        case NpyType::U64:
            return asVolume<std::uint64_t>(array, geometry);
        case NpyType::I64:
            return asVolume<std::int64_t>(array, geometry);
        case NpyType::F32:
            return asVolume<float>(array, geometry);
        case NpyType::F64:
            return asVolume<double>(array, geometry);
        case NpyType::F16:
            break;
    }
    throw DataError(source, "float16 values are no labels: store them as integers");
}

LabelImage readNpzLabels(const fs::path& path, CaseSide side) {
    const NpzFile file(path);
    const std::string key = labelKey(file, path, side);
    const NpyArray array = file.read(key);
    const std::string source = path.string() + ":" + key;
    const std::size_t axes = array.shape.size();
    if ((axes != 2 && axes != 3) || array.elementCount() == 0)
        throw DataError(
            source, fmt::format("shape ({}) is not that of a slice or volume of labels", fmt::join(array.shape, ", ")));
    const Index3 size{array.shape[axes - 1], array.shape[axes - 2], axes == 3 ? array.shape[0] : 1};
    const Geometry geometry = Geometry::axisAligned(size, npzSpacing(file));
    return {LabelMap::fromAny(toVolume(array, geometry, source), {}, source), axes == 2, source};
}

bool isNpz(const fs::path& path) {
    return endsWithIgnoringCase(path.string(), ".npz");
}

}  // namespace

LabelImage readLabelImage(const fs::path& path, CaseSide side) {
    if (isNpz(path)) return readNpzLabels(path, side);
    const ImageHeader header = readImageHeader(path);
    return {readLabelMap(path), header.shape.size() == 2, path.string(), header.format == "DICOM SEG"};
}

void matchGrids(LabelImage& reference, LabelImage& prediction) {
    if (!reference.spansOwnFrames && !prediction.spansOwnFrames) return;
    const auto put = [](LabelImage& image, const Geometry& grid) {
        if (!image.map.geometry().matches(grid)) image.map = onGrid(std::move(image.map), grid, image.source);
    };
    const Geometry grid = !reference.spansOwnFrames ? reference.map.geometry()
                          : !prediction.spansOwnFrames
                              ? prediction.map.geometry()
                              : commonGrid(reference.map.geometry(), prediction.map.geometry());
    put(reference, grid);
    put(prediction, grid);
}

LabelImage readMask(const fs::path& path, CaseSide side) {
    LabelImage image = readLabelImage(path, side);
    image.map.visit([](auto& volume) {
        auto* voxels = volume.data();
        parallelFor(0, volume.voxelCount(), 1 << 20, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t i = first; i < last; ++i) voxels[i] = voxels[i] != 0;
        });
    });
    return image;
}

LabelImage emptyLike(const LabelImage& other) {
    return {LabelMap(Volume<std::uint8_t>(other.map.geometry(), 0)), other.isFlat, "empty mask"};
}

}  // namespace medseg
