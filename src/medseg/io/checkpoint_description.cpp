// What `medseg checkpoint inspect` says about a file.
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "medseg/base/threads.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/pickle_text.h"
#include "medseg/io/tensor_statistics.h"
#include "medseg/io/torch_checkpoint.h"

namespace medseg {

namespace {

using Json = nlohmann::ordered_json;

/// Types of objects that were not understood, with how often they occur.
void countOpaque(const PickleValue& value, std::map<std::string, int>& counts, int depth, int& budget) {
    if (depth > 32 || --budget < 0) return;
    if (value.isOpaque() && value.node()->isCall && value.typeName() != "torch.device") ++counts[value.typeName()];
    const auto& node = value.node();
    if (!node) return;
    for (const PickleValue& item : node->items) countOpaque(item, counts, depth + 1, budget);
    for (const auto& [key, entry] : node->entries) countOpaque(entry, counts, depth + 1, budget);
    countOpaque(node->state, counts, depth + 1, budget);
}

/// The entries of the root that are no tensors, shortly.
Json describeEntries(const PickleValue& root) {
    Json entries = Json::array();
    if (!root.isDict()) {
        if (!root.isTensor())
            entries.push_back({{"key", ""}, {"type", root.typeName()}, {"value", formatPickleValue(root)}});
        return entries;
    }
    for (const auto& [key, value] : root.entries()) {
        if (value.isTensor()) continue;
        Json entry = {{"key", key.isString() ? key.asString() : formatPickleValue(key)}, {"type", value.typeName()}};
        std::size_t tensors = 0;
        if (value.isDict() || value.isSequence()) {
            entry["length"] = value.isDict() ? value.entries().size() : value.items().size();
            tensors = flattenTensors(value).size();
            if (tensors > 0) entry["tensors"] = tensors;
        }
        entry["value"] = tensors > 4 ? fmt::format("{} tensors", tensors) : formatPickleValue(value);
        entries.push_back(std::move(entry));
    }
    return entries;
}

Json describeTensor(const std::string& name, const TensorRecord& tensor) {
    Json entry = {{"name", name}, {"dtype", tensorDtypeName(tensor.dtype)}, {"shape", tensor.shape}};
    if (!tensor.isContiguous()) entry["strides"] = tensor.strides;
    if (tensor.isParameter) entry["parameter"] = true;
    if (tensor.isNumpy) entry["numpy"] = true;
    if (!tensor.storage->location.empty() && tensor.storage->location != "cpu")
        entry["device"] = tensor.storage->location;
    return entry;
}

void addStatistics(const NamedTensors& tensors, Json& list) {
    std::vector<TensorStatistics> statistics(tensors.size());
    parallelForEach(0, static_cast<std::int64_t>(tensors.size()), [&](std::int64_t i) {
        const TensorRecord& tensor = tensors[static_cast<std::size_t>(i)].second;
        if (hasStatistics(tensor.dtype)) statistics[static_cast<std::size_t>(i)] = computeStatistics(tensor);
    });
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (!hasStatistics(tensors[i].second.dtype)) continue;
        const TensorStatistics& s = statistics[i];
        if (s.hasFinite()) {
            list[i]["min"] = s.min;
            list[i]["max"] = s.max;
            list[i]["mean"] = s.mean;
            list[i]["std"] = s.standardDeviation;
        }
        list[i]["nan"] = s.nan;
        list[i]["inf"] = s.infinite;
    }
}

Json describeTotals(const NamedTensors& tensors) {
    std::int64_t elements = 0;
    std::uint64_t bytes = 0;
    std::map<std::string, std::int64_t> byType;
    for (const auto& [name, tensor] : tensors) {
        elements += tensor.elementCount();
        bytes += tensor.byteCount();
        byType[tensorDtypeName(tensor.dtype)] += tensor.elementCount();
    }
    return {{"tensors", tensors.size()}, {"elements", elements}, {"bytes", bytes}, {"elements_by_dtype", byType}};
}

std::string formatBytes(double bytes) {
    const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

}  // namespace

Json describeCheckpoint(const Checkpoint& checkpoint, const DescribeOptions& options) {
    const NamedTensors tensors = flattenTensors(checkpoint.root);
    Json result;
    result["path"] = checkpoint.path.string();
    result["format"] = checkpoint.format;
    if (!checkpoint.version.empty()) result["version"] = checkpoint.version;
    if (!checkpoint.producer.empty()) result["producer"] = checkpoint.producer;
    if (!checkpoint.archiveName.empty()) result["archive"] = checkpoint.archiveName;
    result["file_size"] = checkpoint.fileSize;
    if (!checkpoint.metadata.empty()) result["metadata"] = checkpoint.metadata;
    result["entries"] = describeEntries(checkpoint.root);
    if (!tensors.empty()) {
        const FoundStateDict found = findStateDict(checkpoint.root, checkpoint.path.string());
        result["state_dict"] = {{"entry", fmt::format("{}", fmt::join(found.path, "."))},
                                {"stripped_prefixes", found.strippedPrefixes},
                                {"tensors", found.tensors.size()}};
    }
    std::map<std::string, int> opaque;
    int budget = 1 << 20;
    countOpaque(checkpoint.root, opaque, 0, budget);
    if (!opaque.empty()) result["unknown_types"] = opaque;
    Json list = Json::array();
    for (const auto& [name, tensor] : tensors) list.push_back(describeTensor(name, tensor));
    if (options.statistics) {
        addStatistics(tensors, list);
        result["damaged_entries"] = findChecksumMismatches(checkpoint.path);
    }
    result["tensors"] = std::move(list);
    result["totals"] = describeTotals(tensors);
    return result;
}

std::string formatCheckpointDescription(const Json& d) {
    std::string text = fmt::format("{}\n  format     {}", d["path"].get<std::string>(), d["format"].get<std::string>());
    if (d.contains("version")) text += fmt::format(", version {}", d["version"].get<std::string>());
    text += '\n';
    if (d.contains("producer")) text += fmt::format("  written by {}\n", d["producer"].get<std::string>());
    if (d.contains("metadata"))
        for (const auto& [key, value] : d["metadata"].items())
            text += fmt::format("  metadata   {}: {}\n", printableText(key), printableText(value.get<std::string>()));
    for (const Json& entry : d["entries"]) {
        if (entry["key"].get<std::string>().empty()) {
            text += fmt::format("  content    {}\n", entry["value"].get<std::string>());
        } else {
            text += fmt::format("  {:<24} {}\n", printableText(entry["key"].get<std::string>()),
                                entry["value"].get<std::string>());
        }
    }
    if (d.contains("unknown_types"))
        for (const auto& [name, count] : d["unknown_types"].items())
            text += fmt::format("  not loaded {} ({}x)\n", printableText(name), count.get<int>());

    std::size_t width = 4;
    std::size_t shapeWidth = 5;
    for (const Json& tensor : d["tensors"]) {
        width = std::max(width, tensor["name"].get<std::string>().size());
        shapeWidth = std::max(shapeWidth, tensor["shape"].dump().size());
    }
    const bool hasStatistics = !d["tensors"].empty() && d["tensors"][0].contains("nan");
    if (!d["tensors"].empty()) {
        text += fmt::format("\n{:<{}}  {:<10} {:<{}}", "name", width, "dtype", "shape", shapeWidth);
        if (hasStatistics) text += fmt::format(" {:>12} {:>12} {:>12} {:>6}", "min", "max", "mean", "NaN");
        text += '\n';
    }
    for (const Json& tensor : d["tensors"]) {
        text += fmt::format("{:<{}}  {:<10} {:<{}}", printableText(tensor["name"].get<std::string>()), width,
                            tensor["dtype"].get<std::string>(), tensor["shape"].dump(), shapeWidth);
        if (tensor.contains("min"))
            text += fmt::format(" {:>12.5g} {:>12.5g} {:>12.5g} {:>6}", tensor["min"].get<double>(),
                                tensor["max"].get<double>(), tensor["mean"].get<double>(),
                                tensor["nan"].get<std::int64_t>() + tensor["inf"].get<std::int64_t>());
        text += '\n';
    }
    const Json& totals = d["totals"];
    text += fmt::format("\n{} tensors, {} elements, {}", totals["tensors"].get<std::size_t>(),
                        totals["elements"].get<std::int64_t>(), formatBytes(totals["bytes"].get<double>()));
    if (d.contains("state_dict") && !d["state_dict"]["entry"].get<std::string>().empty())
        text += fmt::format("; weights under \"{}\"", printableText(d["state_dict"]["entry"].get<std::string>()));
    text += '\n';
    if (d.contains("damaged_entries") && !d["damaged_entries"].empty())
        text += fmt::format(
            "WARNING: the checksums of {} entries are wrong, {} first: the file is damaged, or was "
            "written with checksums switched off\n",
            d["damaged_entries"].size(), printableText(d["damaged_entries"][0].get<std::string>()));
    return text;
}

}  // namespace medseg
