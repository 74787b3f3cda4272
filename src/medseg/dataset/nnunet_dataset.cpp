#include "medseg/dataset/nnunet_dataset.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

const Json& required(const Json& json, const char* key, const fs::path& file) {
    const auto found = json.find(key);
    if (found == json.end()) throw DataError(file.string(), fmt::format("has no \"{}\"", key));
    return *found;
}

[[noreturn]] void failKey(const fs::path& file, const std::string& key, const std::string& wanted) {
    throw DataError(file.string(), fmt::format("\"{}\" is not {}", key, wanted));
}

std::vector<std::string> channelsOf(const Json& json, const fs::path& file) {
    const char* key = json.contains("channel_names") ? "channel_names" : "modality";
    const Json& names = required(json, json.contains(key) ? key : "channel_names", file);
    if (!names.is_object() || names.empty()) failKey(file, key, "a map from channel number to name");
    std::vector<std::string> channels;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto found = names.find(std::to_string(i));
        if (found == names.end() || !found->is_string())
            failKey(file, key, fmt::format("a map with the keys 0 to {}", names.size() - 1));
        channels.push_back(*found);
    }
    return channels;
}

NnunetLabel labelOf(const std::string& name, const Json& value, const fs::path& file) {
    const auto isLabel = [](const Json& id) {
        return id.is_number_integer() && id.get<std::int64_t>() >= 0 && id.get<std::int64_t>() <= 65535;
    };
    if (isLabel(value)) return {name, {value.get<int>()}};
    if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), isLabel))
        failKey(file, "labels." + name, "a label value 0 to 65535 or a list of them");
    return {name, value.get<std::vector<int>>()};
}

}  // namespace

bool NnunetDescription::hasRegions() const {
    return std::any_of(labels.begin(), labels.end(), [](const NnunetLabel& label) { return label.values.size() > 1; });
}

NnunetDescription readNnunetDescription(const fs::path& file) {
    const Json json = Json::parse(readTextFile(file), nullptr, false);
    if (!json.is_object()) throw DataError(file.string(), "is not valid JSON");
    NnunetDescription description;
    description.channels = channelsOf(json, file);
    const Json& labels = required(json, "labels", file);
    if (!labels.is_object() || labels.empty()) failKey(file, "labels", "a map from name to value");
    for (const auto& [name, value] : labels.items()) description.labels.push_back(labelOf(name, value, file));
    if (const auto order = json.find("regions_class_order"); order != json.end())
        description.regionsClassOrder = labelOf("regions_class_order", *order, file).values;
    if (description.hasRegions() && description.regionsClassOrder.empty())
        throw DataError(file.string(), "has regions but no \"regions_class_order\"");
    const Json& count = required(json, "numTraining", file);
    if (!count.is_number_unsigned()) failKey(file, "numTraining", "a number of cases");
    description.numTraining = count;
    const Json& ending = required(json, "file_ending", file);
    if (!ending.is_string() || ending.get<std::string>().empty()) failKey(file, "file_ending", "a file ending");
    description.fileEnding = ending;
    return description;
}

void writeNnunetDescription(const fs::path& file, const NnunetDescription& description) {
    Json json;
    for (std::size_t i = 0; i < description.channels.size(); ++i)
        json["channel_names"][std::to_string(i)] = description.channels[i];
    for (const NnunetLabel& label : description.labels)
        json["labels"][label.name] = label.values.size() == 1 ? Json(label.values.front()) : Json(label.values);
    if (!description.regionsClassOrder.empty()) json["regions_class_order"] = description.regionsClassOrder;
    json["numTraining"] = description.numTraining;
    json["file_ending"] = description.fileEnding;
    writeTextFile(file, json.dump(4) + '\n');
}

std::vector<NnunetCase> findNnunetCases(const fs::path& root, const NnunetDescription& description,
                                        const std::string& images) {
    const fs::path folder = root / images;
    const std::size_t tail = description.fileEnding.size() + 5;  // _0000
    std::set<std::string> ids;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (name.front() == '.' || name.size() <= tail || !name.ends_with(description.fileEnding)) continue;
        if (name[name.size() - tail] == '_') ids.insert(name.substr(0, name.size() - tail));
    }
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    std::vector<NnunetCase> cases;
    for (const std::string& id : ids) {
        NnunetCase item{id, {}, root / "labelsTr" / (id + description.fileEnding)};
        for (std::size_t channel = 0; channel < description.channels.size(); ++channel)
            item.channels.push_back(folder / fmt::format("{}_{:04}{}", id, channel, description.fileEnding));
        cases.push_back(std::move(item));
    }
    return cases;
}

std::uint64_t nnunetCaseMemory(const NnunetCase& item, std::size_t channels) {
    // As stored (up to 8 bytes), turned to float one channel at a time, and labels of up to 2 bytes, stored and read.
    const std::uint64_t bytes = 12 + 4 * (channels - 1) + 10;
    for (const fs::path& file : item.channels) {
        try {
            return static_cast<std::uint64_t>(readImageHeader(file).geometry.voxelCount()) * bytes;
        } catch (const DataError&) {  // reported when the file itself is read
        }
    }
    return 0;
}

}  // namespace medseg
