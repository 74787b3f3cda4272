#include "medseg/recipe/recipe.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>
#include <set>
#include <type_traits>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

/// Calls section(name, description, settings) for every section, in file order.
template <typename RecipeType, typename Function>
void visitSections(RecipeType& recipe, Function&& section) {
    section("phantom", "synthetic cases to generate", recipe.phantom);
    section("data", "where the raw volumes are", recipe.data);
    section("prepare", "from volumes to training slices or training volumes", recipe.prepare);
    section("prepare_medsam", "the forms medsam, medsam2 and litemedsam", recipe.prepareMedsam);
    section("prepare_sam3d", "the form sam3d", recipe.prepareSam3d);
    section("prepare_nnunet", "the form nnunet", recipe.prepareNnunet);
    section("model", "the network", recipe.model);
    section("sam", "networks of the SAM family", recipe.sam);
    section("sam2", "networks of the SAM 2 family", recipe.sam2);
    section("propagate", "sam2: how boxes travel through a volume", recipe.propagate);
    section("sam3d", "SAM 3D: one slice to a shape", recipe.sam3d);
    section("sampling", "SAM 3D: from noise to shapes", recipe.sampling);
    section("lora", "low-rank adapters", recipe.lora);
    section("loss", "SAM 3D: terms of the loss", recipe.loss);
    section("train", "the training loop", recipe.train);
    section("augmentation", "random changes of training slices", recipe.augmentation);
    section("predict", "from model to label volumes", recipe.predict);
    section("evaluate", "what is measured", recipe.evaluate);
    section("report", "what is drawn", recipe.report);
}

template <typename Visitor>
void visitTopFields(Visitor&& field, Recipe& r) {
    field("name", r.name, "name of the run", Allowed{});
    field("output", r.output, "folder for everything the run writes", Allowed{});
    field("seed", r.seed, "one seed reproduces a CPU run bit for bit", Allowed{});
    field("device", r.device, "cpu, cuda or cuda:N", Allowed{});
}

const std::set<std::string> kTopKeys{"name", "output", "seed", "device"};

// ---- writing ---------------------------------------------------------------------------------------------------

template <typename T>
struct IsSequence : std::false_type {};
template <typename T>
struct IsSequence<std::vector<T>> : std::true_type {};
template <typename T, std::size_t N>
struct IsSequence<std::array<T, N>> : std::true_type {};

template <typename T>
void emitValue(YAML::Emitter& out, const T& value) {
    if constexpr (IsSequence<T>::value) {
        out << YAML::Flow << YAML::BeginSeq;
        for (const auto& item : value) emitValue(out, item);
        out << YAML::EndSeq;
    } else if constexpr (std::is_same_v<T, double>) {
        out << fmt::format("{}", value);  // shortest text that reads back to the same number
    } else if constexpr (std::is_same_v<T, std::string>) {
        if (value.empty())
            out << YAML::DoubleQuoted << value;
        else
            out << value;
    } else {
        out << value;
    }
}

struct FieldWriter {
    YAML::Emitter& out;
    template <typename T>
    void operator()(const char* key, T& value, const std::string& description, const Allowed&) const {
        out << YAML::Key << key << YAML::Value;
        emitValue(out, value);
        out << YAML::Comment(description);
    }
};

template <typename Settings>
void emitSection(YAML::Emitter& out, const char* name, Settings& settings) {
    out << YAML::Key << name << YAML::Value << YAML::BeginMap;
    visitFields(FieldWriter{out}, settings);
    out << YAML::EndMap;
}

// ---- reading ---------------------------------------------------------------------------------------------------

/// Where a value came from: a line of the file or an override on the command line.
struct Origin {
    std::string file;

    [[noreturn]] void fail(const YAML::Node& node, const std::string& problem) const {
        const int line = node.Mark().line;
        if (file.empty() || line < 0) throw UsageError(problem);
        throw UsageError(fmt::format("{}:{}: {}", file, line + 1, problem));
    }
};

template <typename T>
T readScalar(const YAML::Node& node, const std::string& path, const Allowed& allowed, const Origin& origin) {
    T value{};
    if (std::is_same_v<T, std::string> && node.IsNull()) return value;  // "key:" and key= mean empty text
    const char* expected = std::is_same_v<T, bool>          ? "true or false"
                           : std::is_same_v<T, double>      ? "a number"
                           : std::is_same_v<T, std::string> ? "text"
                                                            : "a whole number";
    if (!node.IsScalar() || !YAML::convert<T>::decode(node, value))
        origin.fail(node, fmt::format("{}: expected {}, found \"{}\"", path, expected,
                                      node.IsScalar() ? node.Scalar() : YAML::Dump(node)));
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
        const auto number = static_cast<double>(value);
        if (!(number >= allowed.low && number <= allowed.high))
            origin.fail(node, fmt::format("{}: {} is outside {:g}..{:g}", path, number, allowed.low, allowed.high));
    }
    if constexpr (std::is_same_v<T, std::string>) {
        const auto& words = allowed.words;
        if (!words.empty() && std::find(words.begin(), words.end(), value) == words.end())
            origin.fail(node, fmt::format("{}: \"{}\" is none of: {}", path, value, fmt::join(words, ", ")));
    }
    return value;
}

template <typename T>
void readValue(const YAML::Node& node, T& value, const std::string& path, const Allowed& allowed,
               const Origin& origin) {
    if constexpr (IsSequence<T>::value) {
        using Item = typename T::value_type;
        // A single scalar stands for a list of one; a null for an empty list.
        std::vector<Item> items;
        if (node.IsSequence()) {
            for (const auto& item : node) items.push_back(readScalar<Item>(item, path, allowed, origin));
        } else if (!node.IsNull()) {
            items.push_back(readScalar<Item>(node, path, allowed, origin));
        }
        if constexpr (requires { value.resize(0); }) {
            value = std::move(items);
        } else {
            if (items.size() == 1) items.assign(value.size(), items.front());
            if (items.size() != value.size())
                origin.fail(node, fmt::format("{}: expected {} values, found {}", path, value.size(), items.size()));
            std::copy(items.begin(), items.end(), value.begin());
        }
    } else {
        value = readScalar<T>(node, path, allowed, origin);
    }
}

struct FieldReader {
    const YAML::Node& section;
    std::string prefix;
    const Origin& origin;
    template <typename T>
    void operator()(const char* key, T& value, const std::string&, const Allowed& allowed) const {
        const YAML::Node node = section[key];
        if (node.IsDefined()) readValue(node, value, prefix + key, allowed, origin);
    }
};

struct KeyCollector {
    std::vector<std::string>& keys;
    template <typename T>
    void operator()(const char* key, T&, const std::string&, const Allowed&) const {
        keys.emplace_back(key);
    }
};

/// Section name -> its keys; the empty name holds the top-level keys and the section names.
std::map<std::string, std::vector<std::string>> knownKeys() {
    std::map<std::string, std::vector<std::string>> known;
    Recipe recipe;
    visitTopFields(KeyCollector{known[""]}, recipe);
    visitSections(recipe, [&](const char* name, const char*, auto& settings) {
        known[""].emplace_back(name);
        visitFields(KeyCollector{known[name]}, settings);
    });
    return known;
}

[[noreturn]] void failUnknownKey(const Origin& origin, const YAML::Node& where, const std::string& key,
                                 const std::string& section,
                                 const std::map<std::string, std::vector<std::string>>& known) {
    std::string nearest = nearestWord(key, known.at(section));
    std::string hint;
    if (!nearest.empty()) {
        hint = fmt::format(": did you mean \"{}\"?", nearest);
    } else {
        // The key may be right and the section wrong.
        for (const auto& [other, keys] : known)
            if (!other.empty() && std::find(keys.begin(), keys.end(), key) != keys.end())
                hint = fmt::format(": did you mean \"{}.{}\"?", other, key);
        if (hint.empty()) hint = ": `medseg run --keys` lists all keys";
    }
    const std::string place = section.empty() ? "" : fmt::format(" in section {}", section);
    origin.fail(where, fmt::format("unknown key \"{}\"{}{}", key, place, hint));
}

void checkKeys(const YAML::Node& root, const Origin& origin) {
    const auto known = knownKeys();
    const auto contains = [](const std::vector<std::string>& keys, const std::string& key) {
        return std::find(keys.begin(), keys.end(), key) != keys.end();
    };
    for (const auto& entry : root) {
        const auto name = entry.first.as<std::string>();
        if (!contains(known.at(""), name)) failUnknownKey(origin, entry.first, name, "", known);
        if (kTopKeys.contains(name)) continue;
        if (entry.second.IsNull()) continue;
        if (!entry.second.IsMap()) origin.fail(entry.first, fmt::format("section {} must hold keys and values", name));
        for (const auto& inner : entry.second) {
            const auto key = inner.first.as<std::string>();
            if (!contains(known.at(name), key)) failUnknownKey(origin, inner.first, key, name, known);
        }
    }
}

YAML::Node parseText(const std::string& text, const std::string& source) {
    try {
        YAML::Node root = YAML::Load(text);
        if (root.IsNull()) return YAML::Node(YAML::NodeType::Map);
        if (!root.IsMap()) throw UsageError(fmt::format("{}: not a recipe: sections and keys are expected", source));
        return root;
    } catch (const YAML::Exception& error) {
        throw UsageError(fmt::format("{}:{}: not valid YAML: {}", source, error.mark.line + 1, error.msg));
    }
}

YAML::Node parseFile(const std::filesystem::path& file) {
    if (!fs::is_regular_file(file)) throw UsageError(fmt::format("{}: no such recipe: check the path", file.string()));
    return parseText(readTextFile(file, std::size_t{1} << 20), file.string());
}

/// "training.epochs" is what some users type for "train.epochs".
std::string canonicalSection(const std::string& section) {
    static const std::map<std::string, std::string> aliases{{"training", "train"},
                                                            {"dataset", "data"},
                                                            {"preprocess", "prepare"},
                                                            {"prediction", "predict"},
                                                            {"evaluation", "evaluate"}};
    const auto found = aliases.find(section);
    return found != aliases.end() ? found->second : section;
}

/// Names of the medical fine-tuning scripts of SAM 3D for keys that lie elsewhere here.
std::string canonicalPath(const std::string& path) {
    static const std::map<std::string, std::string> aliases{{"data.preprocess_crop_size", "sam3d.crop_size"},
                                                            {"data.slice_cache_dir", "sam3d.slices"}};
    const auto found = aliases.find(path);
    return found != aliases.end() ? found->second : path;
}

void applyOverride(YAML::Node& root, const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError(fmt::format("override \"{}\" is not of the form key=value", text));
    const std::string path = canonicalPath(text.substr(0, equals));
    YAML::Node value;
    try {
        value = YAML::Load(text.substr(equals + 1));
    } catch (const YAML::Exception&) {
        throw UsageError(fmt::format("override \"{}\": the value is not valid YAML", text));
    }
    YAML::Node single(YAML::NodeType::Map);
    const auto dot = path.find('.');
    if (dot == std::string::npos) {
        single[path] = value;
        checkKeys(single, {});
        root[path] = value;
        return;
    }
    const std::string section = canonicalSection(path.substr(0, dot));
    const std::string key = path.substr(dot + 1);
    single[section][key] = value;
    checkKeys(single, {});
    if (!root[section].IsMap()) root[section] = YAML::Node(YAML::NodeType::Map);
    root[section][key] = value;
}

// ---- ${...} ----------------------------------------------------------------------------------------------------

class Interpolator {
  public:
    Interpolator(YAML::Node root, const Origin& origin) : root_(std::move(root)), origin_(origin) {}

    void run() { resolveNode(root_); }

  private:
    void resolveNode(YAML::Node node) {
        if (node.IsScalar()) {
            const std::string text = node.Scalar();
            if (text.find("${") == std::string::npos) return;
            node = resolveText(text, node, 0);
        } else if (node.IsSequence() || node.IsMap()) {
            for (auto entry : node) resolveNode(node.IsMap() ? entry.second : YAML::Node(entry));
        }
    }

    std::string resolveText(const std::string& text, const YAML::Node& where, int depth) {
        if (depth > 16) origin_.fail(where, fmt::format("\"{}\" refers to itself", text));
        std::string result;
        std::size_t position = 0;
        while (true) {
            const auto open = text.find("${", position);
            result += text.substr(position, open - position);
            if (open == std::string::npos) return result;
            const auto close = text.find('}', open);
            if (close == std::string::npos) origin_.fail(where, fmt::format("\"{}\": ${{ without }}", text));
            result += lookUp(text.substr(open + 2, close - open - 2), where, depth);
            position = close + 1;
        }
    }

    std::string lookUp(const std::string& name, const YAML::Node& where, int depth) {
        if (name.starts_with("env:")) {
            const char* value = std::getenv(name.c_str() + 4);
            if (value == nullptr)
                origin_.fail(where, fmt::format("environment variable {} is not set", name.substr(4)));
            return value;
        }
        const YAML::Node root = root_;  // const access never creates keys
        const auto dot = name.find('.');
        const YAML::Node found =
            dot == std::string::npos ? root[name] : lookUpInSection(root[name.substr(0, dot)], name.substr(dot + 1));
        if (!found.IsDefined() || !found.IsScalar())
            origin_.fail(where, fmt::format("${{{}}} names no value of this recipe", name));
        return resolveText(found.Scalar(), where, depth + 1);
    }

    static YAML::Node lookUpInSection(const YAML::Node& section, const std::string& key) {
        if (section.IsDefined() && section.IsMap()) return section[key];
        return YAML::Node(YAML::NodeType::Undefined);
    }

    YAML::Node root_;
    const Origin& origin_;
};

/// A tree with every default, so that ${section.key} also finds keys that the file leaves out.
YAML::Node withDefaults(const YAML::Node& root) {
    YAML::Node merged = YAML::Load(recipeToYaml(Recipe{}));
    for (const auto& entry : root) {
        const auto name = entry.first.as<std::string>();
        if (entry.second.IsMap()) {
            for (const auto& inner : entry.second) merged[name][inner.first.as<std::string>()] = inner.second;
        } else if (!entry.second.IsNull()) {
            merged[name] = entry.second;
        }
    }
    return merged;
}

}  // namespace

namespace {

Recipe resolve(YAML::Node root, const std::vector<std::string>& overrides, const std::string& source) {
    const Origin origin{source};
    try {
        checkKeys(root, origin);
        for (const auto& text : overrides) applyOverride(root, text);
        const YAML::Node merged = withDefaults(root);
        Interpolator(merged, origin).run();
        Recipe recipe;
        visitTopFields(FieldReader{merged, "", origin}, recipe);
        visitSections(recipe, [&](const char* name, const char*, auto& settings) {
            const YAML::Node section = merged[name];
            visitFields(FieldReader{section, std::string(name) + ".", origin}, settings);
        });
        return recipe;
    } catch (const YAML::Exception& error) {
        throw UsageError(fmt::format("{}:{}: {}", source, error.mark.line + 1, error.msg));
    }
}

}  // namespace

Recipe loadRecipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
    return resolve(file.empty() ? YAML::Node(YAML::NodeType::Map) : parseFile(file), overrides, file.string());
}

Recipe recipeFromYaml(const std::string& yaml, const std::string& source, const std::vector<std::string>& overrides) {
    return resolve(parseText(yaml, source), overrides, source);
}

std::string recipeToYaml(const Recipe& source) {
    Recipe recipe = source;
    YAML::Emitter out;
    out << YAML::BeginMap;
    visitTopFields(FieldWriter{out}, recipe);
    visitSections(recipe, [&](const char* name, const char*, auto& settings) { emitSection(out, name, settings); });
    out << YAML::EndMap;
    return std::string(out.c_str()) + "\n";
}

std::string recipeSectionToYaml(const Recipe& source, const std::string& wanted) {
    Recipe recipe = source;
    YAML::Emitter out;
    out << YAML::BeginMap;
    visitSections(recipe, [&](const char* name, const char*, auto& settings) {
        if (wanted == name) emitSection(out, name, settings);
    });
    out << YAML::EndMap;
    return out.c_str();
}

std::vector<RecipeKey> recipeKeys() {
    std::vector<RecipeKey> keys;
    Recipe recipe;
    std::string prefix;
    const auto collect = [&](const char* key, auto& value, const std::string& description, const Allowed& allowed) {
        YAML::Emitter out;
        emitValue(out, value);
        std::string text = description;
        if (!allowed.words.empty()) text += fmt::format(" [{}]", fmt::join(allowed.words, ", "));
        keys.push_back({prefix + key, out.c_str(), text});
    };
    visitTopFields(collect, recipe);
    visitSections(recipe, [&](const char* name, const char*, auto& settings) {
        prefix = std::string(name) + ".";
        visitFields(collect, settings);
    });
    return keys;
}

std::string nearestWord(const std::string& word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t bestDistance = std::max<std::size_t>(2, word.size() / 2);
    for (const auto& candidate : candidates) {
        // Levenshtein distance, one row at a time.
        std::vector<std::size_t> row(candidate.size() + 1);
        std::iota(row.begin(), row.end(), std::size_t{0});
        for (std::size_t i = 1; i <= word.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i;
            for (std::size_t j = 1; j <= candidate.size(); ++j) {
                const std::size_t substituted = diagonal + (word[i - 1] != candidate[j - 1] ? 1 : 0);
                diagonal = row[j];
                row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
            }
        }
        if (row.back() <= bestDistance && (best.empty() || row.back() < bestDistance)) {
            bestDistance = row.back();
            best = candidate;
        }
    }
    return best;
}

}  // namespace medseg
