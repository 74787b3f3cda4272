#include "medseg/metrics/label_selection.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

using Json = nlohmann::json;

std::optional<int> parseId(const std::string& text) {
    int id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return id;
}

class TableReader {
  public:
    explicit TableReader(std::filesystem::path path) : path_(std::move(path)) {}

    LabelTable fromJson(const Json& json) {
        if (json.is_object())
            for (const char* key : {"labels", "label_map"})
                if (json.contains(key) && (json[key].is_object() || json[key].is_array())) return fromJson(json[key]);
        if (json.is_array())
            for (std::size_t i = 0; i < json.size(); ++i) add(static_cast<int>(i) + 1, nameIn(json[i]));
        else if (json.is_object())
            for (const auto& [key, value] : json.items()) addEntry(key, value);
        else
            fail("neither an object nor a list of labels");
        return finish();
    }

    LabelTable fromText(const std::string& text) {
        std::istringstream lines(text);
        int next = 1;
        for (std::string line; std::getline(lines, line);) {
            while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
            if (line.empty() || line.front() == '#') continue;
            const std::size_t space = line.find_first_of(" \t,");
            const std::optional<int> id = space == std::string::npos ? std::nullopt : parseId(line.substr(0, space));
            const std::size_t name = id ? line.find_first_not_of(" \t,", space) : 0;
            add(id ? *id : next, line.substr(name));
            next = (id ? *id : next) + 1;
        }
        return finish();
    }

  private:
    [[noreturn]] void fail(const std::string& problem) const { throw DataError(path_.string(), problem); }

    std::string nameIn(const Json& value) const {
        if (!value.is_string()) fail("a label name is not a string: " + value.dump());
        return value.get<std::string>();
    }

    void addEntry(const std::string& key, const Json& value) {
        if (value.is_number_integer())
            add(value.get<int>(), key);
        else if (const auto id = parseId(key); id && value.is_string())
            add(*id, value.get<std::string>());
        else
            fail(fmt::format("label \"{}\": expected \"name\": id or \"id\": \"name\"", key));
    }

    void add(int id, const std::string& name) {
        if (id < 0 || id > 65535) fail(fmt::format("label \"{}\" has id {}: ids lie between 0 and 65535", name, id));
        if (name.empty()) fail(fmt::format("label {} has no name", id));
        entries_.push_back({id, name, {}});
    }

    LabelTable finish() {
        const bool isChannelMap = std::any_of(entries_.begin(), entries_.end(), [](const Label& label) {
            return label.id == 0 && label.name != "background" && label.name != "bg" && label.name != "unlabeled";
        });
        LabelTable table;
        try {
            for (Label& label : entries_) {
                if (isChannelMap) ++label.id;
                label.color = labelColor(label.id);
                if (label.id != 0) table.add(std::move(label));
            }
        } catch (const DataError& error) {
            fail(error.what());
        }
        if (table.empty()) fail("no labels in it");
        return table;
    }

    std::filesystem::path path_;
    std::vector<Label> entries_;
};

}  // namespace

LabelTable readLabelTable(const std::filesystem::path& path) {
    const std::string text = readTextFile(path, std::size_t{4} << 20);
    TableReader reader(path);
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    const bool isJson = start != std::string::npos && (text[start] == '{' || text[start] == '[');
    if (!isJson) return reader.fromText(text);
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) throw DataError(path.string(), "not valid JSON");
    return reader.fromJson(json);
}

LabelTable selectLabels(const std::vector<std::string>& wanted, const LabelTable& table) {
    LabelTable selected;
    for (const std::string& word : wanted) {
        const std::optional<int> id = parseId(word);
        const Label* known = id ? table.findId(*id) : table.findName(word);
        if (known == nullptr && id && *id > 0 && *id <= 65535) {
            selected.add({*id, table.nameOf(*id), labelColor(*id)});
            continue;
        }
        if (known == nullptr) {
            std::vector<std::string> names;
            for (const Label& label : table.labels()) names.push_back(label.name);
            if (names.empty())
                throw UsageError(
                    fmt::format("label \"{}\": the files carry no label names: give ids, or --labels FILE "
                                "with names and ids",
                                word));
            const std::string nearest = nearestWord(word, names);
            throw UsageError(fmt::format("unknown label \"{}\"{}", word,
                                         nearest.empty() ? "" : fmt::format(": nearest is \"{}\"", nearest)));
        }
        if (selected.findId(known->id) == nullptr) selected.add(*known);
    }
    return selected;
}

}  // namespace medseg
