#include "medseg/dataset/slice_manifest.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxSide = 4096;

Json toJson(const CachedCase& record) {
    return {{"id", record.id},
            {"fingerprint", record.fingerprint},
            {"image", record.image},
            {"size", record.geometry.size()},
            {"affine", record.geometry.affine()},
            {"layers", record.layers},
            {"source_slices", record.sourceSlices}};
}

CachedCase caseFromJson(const Json& json) {
    CachedCase record;
    json.at("id").get_to(record.id);
    json.at("fingerprint").get_to(record.fingerprint);
    json.at("image").get_to(record.image);
    record.geometry = Geometry(json.at("size").get<Index3>(), json.at("affine").get<Affine>());
    json.at("layers").get_to(record.layers);
    json.at("source_slices").get_to(record.sourceSlices);
    if (record.layers < 1 || record.layers > 65535) throw DataError(fmt::format("{} label layers", record.layers));
    if (record.id.empty() || record.id.find('/') != std::string::npos)
        throw DataError(fmt::format("case id \"{}\" is no file name", record.id));
    return record;
}

Json toJson(const SliceFormat& format) {
    Json labels = Json::array();
    for (const Label& label : format.labels.labels()) labels.push_back(label.name);
    return {{"axis", sliceAxisName(format.axis)},
            {"height", format.height},
            {"width", format.width},
            {"window", format.window},
            {"labels", labels}};
}

SliceFormat formatFromJson(const Json& json) {
    SliceFormat format;
    format.axis = sliceAxisFromName(json.at("axis").get<std::string>());
    json.at("height").get_to(format.height);
    json.at("width").get_to(format.width);
    json.at("window").get_to(format.window);
    format.labels = LabelTable::fromNames(json.at("labels").get<std::vector<std::string>>());
    if (format.height < 1 || format.height > kMaxSide || format.width < 1 || format.width > kMaxSide)
        throw DataError(fmt::format("slice size {}x{}", format.height, format.width));
    return format;
}

}  // namespace

SliceManifest readSliceManifest(const SliceCachePaths& paths) {
    std::error_code error;
    if (!fs::exists(paths.manifest(), error))
        throw DataError(paths.root.string(), "is no slice cache (it has no cache.json): run `medseg prepare` first");
    const std::string text = readTextFile(paths.manifest(), std::size_t{1} << 30);
    try {
        const Json json = Json::parse(text);
        if (const int version = json.at("version").get<int>(); version != kSliceCacheVersion)
            throw DataError(fmt::format("format version {} (this program reads {})", version, kSliceCacheVersion));
        SliceManifest manifest{.format = formatFromJson(json), .cases = {}};
        for (const Json& item : json.at("cases")) manifest.cases.push_back(caseFromJson(item));
        return manifest;
    } catch (const std::exception& problem) {
        throw DataError(paths.manifest().string(), fmt::format("cannot be used: {}: prepare again", problem.what()));
    }
}

void writeSliceManifest(const SliceCachePaths& paths, const SliceManifest& manifest) {
    Json json{{"version", kSliceCacheVersion}};
    json.update(toJson(manifest.format));
    json["cases"] = Json::array();
    for (const CachedCase& record : manifest.cases) json["cases"].push_back(toJson(record));
    Json channels = Json::object();
    for (const Label& label : manifest.format.labels.labels()) channels[label.name] = label.id - 1;
    writeTextFile(paths.labelMap(), channels.dump(2) + "\n");
    writeTextFile(paths.manifest(), json.dump(1) + "\n");
}

void writeCaseRecord(const SliceCachePaths& paths, const CachedCase& record) {
    writeTextFile(paths.caseRecord(record.id), toJson(record).dump(1) + "\n");
}

std::optional<CachedCase> findCaseRecord(const SliceCachePaths& paths, const std::string& id) {
    std::error_code error;
    if (!fs::exists(paths.caseRecord(id), error)) return std::nullopt;
    try {
        return caseFromJson(Json::parse(readTextFile(paths.caseRecord(id))));
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

}  // namespace medseg
