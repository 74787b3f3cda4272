#include "medseg/dataset/volume_cache.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/dataset/cached_array.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxSide = 1 << 16;

Geometry geometryFromJson(const Json& size, const Json& affine) {
    return {size.get<Index3>(), affine.get<Affine>()};
}

VolumeFormat formatFromJson(const Json& json) {
    VolumeFormat format;
    json.at("spacing").get_to(format.spacing);
    json.at("window").get_to(format.window);
    format.labels = LabelTable::fromNames(json.at("labels").get<std::vector<std::string>>());
    return format;
}

CachedVolume caseFromJson(const Json& json, std::size_t labels) {
    CachedVolume record;
    json.at("id").get_to(record.id);
    if (record.id.empty() || record.id.find('/') != std::string::npos)
        throw DataError(fmt::format("case id \"{}\" is no file name", record.id));
    const Json& values = json.at("values");
    record.grid = geometryFromJson(values.at("size"), values.at("affine"));
    record.source = geometryFromJson(values.at("source_size"), values.at("source_affine"));
    values.at("layers").get_to(record.layers);
    values.at("voxels").get_to(record.voxels);
    values.at("foreground").get_to(record.foreground);
    const auto bad = [](std::int64_t count) { return count < 0 || count > kForegroundVoxels; };
    if (record.layers < 1 || record.layers > 65535) throw DataError(fmt::format("{} label layers", record.layers));
    if (record.voxels.size() != labels + 1 || record.foreground.size() != labels + 1 || record.foreground[0] != 0 ||
        std::any_of(record.foreground.begin(), record.foreground.end(), bad))
        throw DataError(fmt::format("voxel counts of case {}", record.id));
    for (const std::int64_t side : record.grid.size())
        if (side > kMaxSide) throw DataError(fmt::format("size {}", formatSize(record.grid.size())));
    return record;
}

}  // namespace

VolumeCache::VolumeCache(const fs::path& directory) : paths_{directory} {
    const std::string name = paths_.manifest().string();
    std::error_code error;
    if (!fs::exists(paths_.manifest(), error))
        throw DataError(directory.string(), "holds no prepared volumes (no manifest.json): run `medseg prepare` first");
    std::vector<CachedVolume> records;
    try {
        const Json json = Json::parse(readTextFile(paths_.manifest(), std::size_t{1} << 30));
        if (json.at("form").get<std::string>() != kVolumeCacheForm)
            throw DataError(fmt::format("prepared as \"{}\", not as volumes", json.at("form").get<std::string>()));
        if (const int version = json.at("version").get<int>(); version != kVolumeCacheVersion)
            throw DataError(fmt::format("format version {} (this program reads {})", version, kVolumeCacheVersion));
        format_ = formatFromJson(json.at("parameters"));
        for (const Json& item : json.at("cases")) records.push_back(caseFromJson(item, format_.labels.size()));
    } catch (const std::exception& problem) {
        throw DataError(name, fmt::format("cannot be used: {}: prepare again", problem.what()));
    }
    for (const CachedVolume& record : records) openCase(record);
}

void VolumeCache::openCase(const CachedVolume& record) {
    const Index3& size = record.grid.size();
    const std::int64_t stored = std::accumulate(record.foreground.begin(), record.foreground.end(), std::int64_t{0});
    OpenCase open{.record = record,
                  .image = MappedFile(paths_.image(record.id)),
                  .labels = MappedFile(paths_.labels(record.id)),
                  .foreground = MappedFile(paths_.foreground(record.id))};
    constexpr const char* kManifest = "manifest.json";
    open.imageOffset = cachedArrayOffset(open.image, NpyType::F16, {size[2], size[1], size[0]}, kManifest);
    open.labelOffset = cachedArrayOffset(open.labels, format_.labelBytes() == 1 ? NpyType::U8 : NpyType::U16,
                                         {record.layers, size[2], size[1], size[0]}, kManifest);
    const std::size_t offset = cachedArrayOffset(open.foreground, NpyType::U32, {stored}, kManifest);
    const auto* voxel = reinterpret_cast<const std::uint32_t*>(open.foreground.bytes().data() + offset);
    for (const std::int64_t count : record.foreground) {
        open.firstVoxel.push_back(voxel);
        voxel += count;
    }
    layerCount_ = std::max(layerCount_, record.layers);
    cases_.push_back(std::move(open));
}

std::vector<std::string> VolumeCache::caseIds() const {
    std::vector<std::string> ids;
    for (const OpenCase& open : cases_) ids.push_back(open.record.id);
    return ids;
}

std::int64_t VolumeCache::findCase(const std::string& id) const {
    const auto found =
        std::find_if(cases_.begin(), cases_.end(), [&](const OpenCase& open) { return open.record.id == id; });
    return found == cases_.end() ? -1 : found - cases_.begin();
}

std::span<const std::uint16_t> VolumeCache::imageHalf(std::int64_t index) const {
    const OpenCase& item = open(index);
    const auto* first = reinterpret_cast<const std::uint16_t*>(item.image.bytes().data() + item.imageOffset);
    return {first, static_cast<std::size_t>(item.record.grid.voxelCount())};
}

std::span<const std::uint8_t> VolumeCache::labelBytes(std::int64_t index, int layer) const {
    const OpenCase& item = open(index);
    if (layer >= item.record.layers) return {};
    const std::int64_t bytes = item.record.grid.voxelCount() * format_.labelBytes();
    return {item.labels.bytes().data() + item.labelOffset + static_cast<std::size_t>(layer * bytes),
            static_cast<std::size_t>(bytes)};
}

std::span<const std::uint32_t> VolumeCache::foreground(std::int64_t index, int label) const {
    const OpenCase& item = open(index);
    const auto id = static_cast<std::size_t>(label);
    return {item.firstVoxel[id], static_cast<std::size_t>(item.record.foreground[id])};
}

}  // namespace medseg
