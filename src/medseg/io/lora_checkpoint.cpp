#include "medseg/io/lora_checkpoint.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/torch_checkpoint.h"

namespace medseg {
namespace {

constexpr const char* kSuffixA = ".lora_A";
constexpr const char* kSuffixB = ".lora_B";
constexpr const char* kConfigKey = "lora_config";
constexpr const char* kAdapterKey = "lora_state_dict";
constexpr const char* kTrainedKey = "trained_state_dict";

std::vector<std::string_view> components(std::string_view path) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto dot = path.find('.');
        parts.push_back(path.substr(0, dot));
        if (dot == std::string_view::npos) return parts;
        path.remove_prefix(dot + 1);
    }
}

bool componentMatches(std::string_view text, std::string_view pattern) {
    if (pattern.empty()) return text.empty();
    if (pattern.front() == '*') {
        for (std::size_t skip = 0; skip <= text.size(); ++skip)
            if (componentMatches(text.substr(skip), pattern.substr(1))) return true;
        return false;
    }
    return !text.empty() && text.front() == pattern.front() && componentMatches(text.substr(1), pattern.substr(1));
}

bool matchesAny(const std::string& path, const std::vector<std::string>& patterns) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return pathMatches(path, pattern); });
}

nlohmann::json toJson(const LoraSettings& settings) {
    return {{"rank", settings.rank},       {"alpha", settings.alpha},     {"dropout", settings.dropout},
            {"targets", settings.targets}, {"exclude", settings.exclude}, {"train", settings.train}};
}

PickleValue configEntry(const LoraSettings& settings) {
    const auto list = [](const std::vector<std::string>& items) {
        PickleValue value = PickleValue::list();
        for (const std::string& item : items) value.append(item);
        return value;
    };
    PickleValue config = PickleValue::dict();
    config.set("rank", settings.rank);
    config.set("alpha", settings.alpha);
    config.set("dropout", settings.dropout);
    config.set("targets", list(settings.targets));
    config.set("exclude", list(settings.exclude));
    config.set("train", list(settings.train));
    return config;
}

std::vector<std::string> stringsOf(const PickleValue* value) {
    std::vector<std::string> items;
    if (value != nullptr)
        for (const PickleValue& item : value->items()) items.push_back(item.asString());
    return items;
}

/// Rank and alpha under our name, or "lora_rank" and "lora_alpha" in the Python trainer's "config".
LoraSettings settingsFrom(const PickleValue& root, const std::string& source) {
    LoraSettings settings;
    if (const PickleValue* config = root.find(kConfigKey)) {
        settings.rank = static_cast<int>(config->at("rank").asInt());
        settings.alpha = config->at("alpha").asDouble();
        if (const PickleValue* dropout = config->find("dropout")) settings.dropout = dropout->asDouble();
        settings.targets = stringsOf(config->find("targets"));
        settings.exclude = stringsOf(config->find("exclude"));
        settings.train = stringsOf(config->find("train"));
        return settings;
    }
    const PickleValue* config = root.find("config");
    const PickleValue* rank = config == nullptr ? nullptr : config->find("lora_rank");
    const PickleValue* alpha = config == nullptr ? nullptr : config->find("lora_alpha");
    if (rank == nullptr || alpha == nullptr)
        throw DataError(source, "adapters without rank and alpha: \"lora_config\" is missing");
    settings.rank = static_cast<int>(rank->asInt());
    settings.alpha = alpha->asDouble();
    settings.targets.clear();
    return settings;
}

LoraSettings settingsFrom(const std::map<std::string, std::string>& metadata, const std::string& source) {
    const auto found = metadata.find(kConfigKey);
    if (found == metadata.end())
        throw DataError(source, "adapters without rank and alpha: \"lora_config\" is missing in the metadata");
    LoraSettings settings;
    try {
        const auto json = nlohmann::json::parse(found->second);
        settings.rank = json.at("rank");
        settings.alpha = json.at("alpha");
        settings.dropout = json.value("dropout", 0.0);
        settings.targets = json.value("targets", std::vector<std::string>{});
        settings.exclude = json.value("exclude", std::vector<std::string>{});
        settings.train = json.value("train", std::vector<std::string>{});
    } catch (const nlohmann::json::exception& error) {
        throw DataError(source, fmt::format("damaged lora_config: {}", error.what()));
    }
    return settings;
}

NamedTensors tensorsOf(const PickleValue* dict) {
    return dict == nullptr ? NamedTensors{} : flattenTensors(*dict);
}

void checkAdapters(const LoraCheckpoint& checkpoint, const std::string& source) {
    if (checkpoint.settings.rank < 1 || !(checkpoint.settings.alpha > 0))
        throw DataError(
            source, fmt::format("rank {} and alpha {} cannot be", checkpoint.settings.rank, checkpoint.settings.alpha));
    if (checkpoint.adapters.empty() && checkpoint.trained.empty())
        throw DataError(source, "holds no adapters: `medseg checkpoint inspect` tells what it is");
    for (const auto& [name, tensor] : checkpoint.adapters) {
        const bool isA = name.ends_with(kSuffixA), isB = name.ends_with(kSuffixB);
        if (!isA && !isB) throw DataError(source, fmt::format("{} is no adapter (.lora_A, .lora_B)", name));
        const std::string path = name.substr(0, name.size() - std::string_view(kSuffixA).size());
        if (findTensor(checkpoint.adapters, path + (isA ? kSuffixB : kSuffixA)) == nullptr)
            throw DataError(source, fmt::format("{} has no partner", name));
        if (tensor.shape.size() != 2 || tensor.shape[isA ? 0 : 1] != checkpoint.settings.rank)
            throw DataError(source, fmt::format("{} is {}, rank {} is expected", name, tensor.describe(),
                                                checkpoint.settings.rank));
    }
}

/// W + scaling B A in W's own type; sums run over the rank in double.
TensorRecord mergedWeight(const TensorRecord& weight, const TensorRecord& a, const TensorRecord& b, double scaling) {
    std::vector<float> values = weight.toFloats();
    const std::vector<float> left = b.toFloats(), right = a.toFloats();
    const auto out = static_cast<std::size_t>(weight.shape[0]), in = static_cast<std::size_t>(weight.shape[1]);
    const auto rank = static_cast<std::size_t>(a.shape[0]);
    std::vector<double> row(in);
    for (std::size_t o = 0; o < out; ++o) {
        std::fill(row.begin(), row.end(), 0.0);
        for (std::size_t r = 0; r < rank; ++r) {
            const double factor = left[o * rank + r];
            for (std::size_t i = 0; i < in; ++i) row[i] += factor * right[r * in + i];
        }
        for (std::size_t i = 0; i < in; ++i)
            values[o * in + i] = static_cast<float>(values[o * in + i] + scaling * row[i]);
    }
    return TensorRecord::ofFloats(weight.shape, values).converted(weight.dtype);
}

/// The entry of `names` called `wanted`, or the only one that ends in ".wanted".
std::size_t findByEnding(const std::vector<std::string>& names, const std::string& wanted, const std::string& source) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == wanted) return i;
        if (names[i].ends_with("." + wanted)) found.push_back(i);
    }
    if (found.size() == 1) return found.front();
    throw DataError(source, fmt::format("{} {}: the adapters belong to another model", wanted,
                                        found.empty() ? "is missing" : "occurs more than once"));
}

/// `root` with `weights` in place of what lies at `path`; everything else is shared.
PickleValue replaced(const PickleValue& root, std::span<const std::string> path, const PickleValue& weights) {
    if (path.empty()) return weights;
    PickleValue copy = PickleValue::dict();
    for (const auto& [key, value] : root.entries())
        copy.set(key, key.isString() && key.asString() == path[0] ? replaced(value, path.subspan(1), weights) : value);
    return copy;
}

}  // namespace

void checkLoraSettings(const LoraSettings& settings) {
    if (settings.rank < 1) throw UsageError(fmt::format("lora.rank {} must be at least 1", settings.rank));
    if (!(settings.alpha > 0)) throw UsageError(fmt::format("lora.alpha {} must be above 0", settings.alpha));
    if (!(settings.dropout >= 0 && settings.dropout < 1))
        throw UsageError(fmt::format("lora.dropout {} must be in [0, 1)", settings.dropout));
}

bool pathMatches(const std::string& path, const std::string& pattern) {
    const auto parts = components(path), wanted = components(pattern);
    for (std::size_t start = 0; start + wanted.size() <= parts.size(); ++start) {
        std::size_t at = 0;
        while (at < wanted.size() && componentMatches(parts[start + at], wanted[at])) ++at;
        if (at == wanted.size()) return true;
    }
    return false;
}

std::vector<LoraLayer> loraLayers(const std::vector<ExpectedTensor>& tensors, const LoraSettings& settings) {
    constexpr std::string_view kWeight = ".weight";
    std::vector<LoraLayer> layers;
    for (const ExpectedTensor& tensor : tensors) {
        if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) continue;
        const std::string path = tensor.name.substr(0, tensor.name.size() - kWeight.size());
        if (matchesAny(path, settings.targets) && !matchesAny(path, settings.exclude))
            layers.push_back({path, tensor.shape[1], tensor.shape[0]});
    }
    return layers;
}

std::int64_t loraValueCount(const std::vector<LoraLayer>& layers, int rank) {
    std::int64_t count = 0;
    for (const LoraLayer& layer : layers) count += rank * (layer.in + layer.out);
    return count;
}

LoraCheckpoint readLoraCheckpoint(const fs::path& path) {
    const std::string name = path.string();
    const Checkpoint file = readCheckpoint(path);
    LoraCheckpoint checkpoint;
    if (file.format == "safetensors") {
        checkpoint.settings = settingsFrom(file.metadata, name);
        for (auto& [key, tensor] : flattenTensors(file.root)) {
            const bool adapter = key.ends_with(kSuffixA) || key.ends_with(kSuffixB);
            (adapter ? checkpoint.adapters : checkpoint.trained).emplace_back(key, tensor);
        }
    } else {
        if (file.root.find(kAdapterKey) == nullptr)
            throw DataError(name, "holds no \"lora_state_dict\": this is no adapter checkpoint");
        checkpoint.settings = settingsFrom(file.root, name);
        checkpoint.adapters = tensorsOf(file.root.find(kAdapterKey));
        checkpoint.trained = tensorsOf(file.root.find(kTrainedKey));
    }
    checkAdapters(checkpoint, name);
    return checkpoint;
}

void addLoraEntries(PickleValue& root, const LoraCheckpoint& checkpoint) {
    root.set(kAdapterKey, PickleValue::stateDict(checkpoint.adapters));
    root.set(kTrainedKey, PickleValue::stateDict(checkpoint.trained));
    root.set(kConfigKey, configEntry(checkpoint.settings));
}

void writeLoraCheckpoint(const fs::path& path, const LoraCheckpoint& checkpoint) {
    if (endsWithIgnoringCase(path.string(), ".safetensors")) {
        NamedTensors tensors = checkpoint.adapters;
        tensors.insert(tensors.end(), checkpoint.trained.begin(), checkpoint.trained.end());
        SafetensorsOptions options;
        options.metadata[kConfigKey] = toJson(checkpoint.settings).dump();
        writeSafetensors(path, tensors, options);
        return;
    }
    PickleValue root = PickleValue::dict();
    addLoraEntries(root, checkpoint);
    writeTorchFile(path, root);
}

LoraMergeResult mergeLoraCheckpoint(const fs::path& base, const fs::path& adapterFile, const fs::path& output) {
    const LoraCheckpoint lora = readLoraCheckpoint(adapterFile);
    const Checkpoint file = readCheckpoint(base);
    const std::string source = base.string();
    const FoundStateDict found = findStateDict(file.root, source);
    const PickleValue* weights = &file.root;
    for (const std::string& key : found.path) weights = &weights->at(key);
    NamedTensors tensors = flattenTensors(*weights);
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors) names.push_back(name);

    LoraMergeResult result;
    for (const auto& [name, a] : lora.adapters) {
        if (!name.ends_with(kSuffixA)) continue;
        const std::string path = name.substr(0, name.size() - std::string_view(kSuffixA).size());
        const TensorRecord& b = *findTensor(lora.adapters, path + kSuffixB);
        TensorRecord& weight = tensors[findByEnding(names, path + ".weight", source)].second;
        if (weight.shape != std::vector<std::int64_t>{b.shape[0], a.shape[1]})
            throw DataError(source, fmt::format("{}.weight is {}, the adapters need {}x{}", path, weight.describe(),
                                                b.shape[0], a.shape[1]));
        weight = mergedWeight(weight, a, b, lora.settings.scaling());
        ++result.mergedLayers;
    }
    for (const auto& [name, value] : lora.trained) {
        TensorRecord& own = tensors[findByEnding(names, name, source)].second;
        if (own.shape != value.shape)
            throw DataError(source,
                            fmt::format("{} is {}, the trained one {}", name, own.describe(), value.describe()));
        own = value.converted(own.dtype);
        ++result.replacedTensors;
    }
    if (endsWithIgnoringCase(output.string(), ".safetensors"))
        writeSafetensors(output, tensors, {file.metadata, {}});
    else
        writeTorchFile(output, replaced(file.root, found.path, PickleValue::stateDict(tensors)));
    return result;
}

}  // namespace medseg
