#include "medseg/io/state_dict.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/io/pickle_text.h"

namespace medseg {

namespace {

constexpr std::size_t kMostTensors = std::size_t{1} << 18;
constexpr std::string_view kWrappers[] = {"model", "state_dict", "model_state_dict", "network_weights",
                                          "lora_state_dict"};
constexpr std::string_view kParallelPrefixes[] = {"module.", "_orig_mod."};

std::string keyName(const PickleValue& key) {
    return key.isString() ? key.asString() : formatPickleValue(key, 60);
}

std::string joined(const std::string& prefix, const std::string& name) {
    return prefix.empty() ? name : prefix + "." + name;
}

/// Entries that hold the members of a pickled nn.Module and are no part of the names.
bool isModuleContainer(std::string_view name) {
    return name == "_parameters" || name == "_buffers" || name == "_modules";
}

class Flattener {
  public:
    void visit(const PickleValue& value, const std::string& name) {
        // A value may be shared by many containers, so that the number of paths grows without bound: containers that
        // were seen to hold no tensor are not entered again, and the number of tensors is limited.
        const PickleNode* node = value.node().get();
        if (node != nullptr && withoutTensors_.contains(node)) return;
        const std::size_t before = tensors.size();
        collect(value, name);
        if (node != nullptr && tensors.size() == before) withoutTensors_.insert(node);
    }

    NamedTensors tensors;

  private:
    void collect(const PickleValue& value, const std::string& name) {
        switch (value.kind()) {
            case PickleValue::Kind::Tensor:
                if (tensors.size() >= kMostTensors) throw DataError("checkpoint holds more tensors than can be listed");
                tensors.emplace_back(name, value.asTensor());
                break;
            case PickleValue::Kind::List:
            case PickleValue::Kind::Tuple: {
                std::size_t index = 0;
                for (const PickleValue& item : value.items()) visit(item, joined(name, fmt::format("{}", index++)));
                break;
            }
            case PickleValue::Kind::Dict:
                visitEntries(value, name);
                break;
            case PickleValue::Kind::Opaque:
                visitEntries(value, name);
                if (value.state().isDict()) visitEntries(value.state(), name);
                break;
            default:
                break;
        }
    }

    void visitEntries(const PickleValue& value, const std::string& name) {
        for (const auto& [key, entry] : value.entries()) {
            const std::string part = keyName(key);
            visit(entry, value.isDict() && isModuleContainer(part) ? name : joined(name, part));
        }
    }

    std::unordered_set<const PickleNode*> withoutTensors_;
};

bool holdsTensors(const PickleValue& value) {
    return (value.isDict() || value.isOpaque()) && !flattenTensors(value).empty();
}

std::string entryNames(const PickleValue& value) {
    std::vector<std::string> names;
    if (value.isDict())
        for (const auto& [key, entry] : value.entries()) {
            if (names.size() == 8) {
                names.push_back("...");
                break;
            }
            names.push_back(printableText(keyName(key)));
        }
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

/// The entry at a dotted path; keys may contain dots themselves, so the longest key that fits is tried first.
const PickleValue* descend(const PickleValue& value, std::string_view path) {
    if (path.empty()) return &value;
    if (!value.isDict()) return nullptr;
    if (const PickleValue* direct = value.find(path)) return direct;
    for (std::size_t dot = path.rfind('.'); dot != std::string_view::npos && dot > 0; dot = path.rfind('.', dot - 1)) {
        const PickleValue* inner = value.find(path.substr(0, dot));
        if (inner != nullptr)
            if (const PickleValue* found = descend(*inner, path.substr(dot + 1))) return found;
    }
    return nullptr;
}

const PickleValue* wrapped(const PickleValue& value, std::string& name) {
    for (const std::string_view wrapper : kWrappers) {
        const PickleValue* inner = value.find(wrapper);
        if (inner != nullptr && holdsTensors(*inner)) {
            name = wrapper;
            return inner;
        }
    }
    return nullptr;
}

std::string listed(const std::vector<std::string>& names, std::size_t shown) {
    std::vector<std::string> first(names.begin(),
                                   names.begin() + static_cast<std::ptrdiff_t>(std::min(shown, names.size())));
    if (names.size() > shown) first.push_back("...");
    return printableText(fmt::format("{}", fmt::join(first, ", ")));
}

}  // namespace

NamedTensors flattenTensors(const PickleValue& value) {
    Flattener flattener;
    flattener.visit(value, "");
    return std::move(flattener.tensors);
}

NamedTensors withoutPrefix(NamedTensors tensors, std::string_view prefix) {
    for (auto& [name, tensor] : tensors)
        if (name.starts_with(prefix)) name.erase(0, prefix.size());
    return tensors;
}

NamedTensors withPrefix(const NamedTensors& tensors, std::string_view prefix) {
    NamedTensors result;
    for (const auto& [name, tensor] : tensors)
        if (name.starts_with(prefix)) result.emplace_back(name.substr(prefix.size()), tensor);
    return result;
}

const TensorRecord* findTensor(const NamedTensors& tensors, std::string_view name) {
    for (const auto& [other, tensor] : tensors)
        if (other == name) return &tensor;
    return nullptr;
}

FoundStateDict findStateDict(const PickleValue& root, const std::string& source, const std::string& entry) {
    FoundStateDict found;
    const PickleValue* value = descend(root, entry);
    if (value == nullptr)
        throw DataError(source, fmt::format("no entry \"{}\": the file has {}", entry, entryNames(root)));
    if (!entry.empty()) found.path.push_back(entry);
    std::string name;
    while (const PickleValue* inner = wrapped(*value, name)) {
        found.path.push_back(name);
        value = inner;
    }
    found.tensors = flattenTensors(*value);
    if (found.tensors.empty())
        throw DataError(source,
                        fmt::format("holds no tensors{}: the file has {}",
                                    entry.empty() ? "" : fmt::format(" under \"{}\"", entry), entryNames(root)));
    for (bool again = true; again;) {
        again = false;
        for (const std::string_view prefix : kParallelPrefixes) {
            const bool everywhere = std::all_of(found.tensors.begin(), found.tensors.end(), [&](const auto& named) {
                return named.first.starts_with(prefix) && named.first.size() > prefix.size();
            });
            if (!everywhere) continue;
            found.tensors = withoutPrefix(std::move(found.tensors), prefix);
            found.strippedPrefixes.emplace_back(prefix);
            again = true;
        }
    }
    return found;
}

StateDictMatch matchStateDict(const std::vector<ExpectedTensor>& expected, const NamedTensors& found) {
    std::unordered_map<std::string_view, const TensorRecord*> byName;
    for (const auto& [name, tensor] : found) byName[name] = &tensor;
    std::unordered_map<std::string_view, bool> known;
    StateDictMatch match;
    for (const ExpectedTensor& tensor : expected) {
        known[tensor.name] = true;
        const auto candidate = byName.find(tensor.name);
        if (candidate == byName.end()) {
            match.missing.push_back(tensor.name);
        } else if (candidate->second->shape != tensor.shape) {
            match.misShaped.push_back({tensor.name, tensor.shape, candidate->second->shape});
        } else {
            ++match.matched;
        }
    }
    for (const auto& [name, tensor] : found)
        if (!known.contains(name)) match.unexpected.push_back(name);
    return match;
}

std::string StateDictMatch::describe(std::size_t namesShown) const {
    if (isComplete()) return fmt::format("all {} tensors match", matched);
    const std::size_t expected = matched + missing.size() + misShaped.size();
    std::vector<std::string> parts;
    if (!missing.empty())
        parts.push_back(fmt::format("{} of {} missing ({})", missing.size(), expected, listed(missing, namesShown)));
    if (!misShaped.empty()) {
        std::vector<std::string> names;
        for (const MisShaped& tensor : misShaped)
            names.push_back(fmt::format("{}: {} expected, {} found", tensor.name, formatShape(tensor.expected),
                                        formatShape(tensor.found)));
        parts.push_back(fmt::format("{} mis-shaped ({})", misShaped.size(), listed(names, namesShown)));
    }
    if (!unexpected.empty())
        parts.push_back(fmt::format("{} unexpected ({})", unexpected.size(), listed(unexpected, namesShown)));
    return fmt::format("{}", fmt::join(parts, ", "));
}

void requireMatch(const StateDictMatch& match, const std::string& source, const std::string& model, bool strict) {
    if (strict ? !match.isComplete() : match.matched == 0)
        throw DataError(source, fmt::format("does not fit {}: {}", model, match.describe()));
}

}  // namespace medseg
