#include "medseg/dataset/layout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/class_list.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/io/image_file.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

using Json = nlohmann::json;

/// Entries of a folder in ascending name.
std::vector<fs::path> sortedEntries(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (it->path().filename().string().front() != '.') entries.push_back(it->path());
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    std::sort(entries.begin(), entries.end());
    return entries;
}

std::optional<fs::path> caseImage(const fs::path& folder) {
    for (const char* name : {"ct.nii.gz", "ct.nii", "mri.nii.gz", "ct.nrrd", "ct.mha"})
        if (std::error_code error; fs::is_regular_file(folder / name, error)) return folder / name;
    if (isDicomFolder(folder / "ct")) return folder / "ct";
    return std::nullopt;
}

std::vector<Case> findPairs(const DataSettings& settings) {
    const fs::path images = fs::path(settings.root) / settings.images,
                   labels = fs::path(settings.root) / settings.labelsFolder;
    std::vector<Case> cases;
    std::error_code error;
    if (!fs::is_directory(images, error)) return cases;
    for (const fs::path& entry : sortedEntries(images)) {
        const std::string name = entry.filename().string();
        if (!name.ends_with(settings.imageSuffix) || name.size() == settings.imageSuffix.size()) continue;
        const std::string id = name.substr(0, name.size() - settings.imageSuffix.size());
        cases.push_back(
            {.id = id, .image = entry, .labelFile = labels / (id + settings.labelSuffix), .maskFolder = {}});
    }
    return cases;
}

/// The names that the mask files of all cases have.
std::set<std::string> maskNames(const std::vector<Case>& cases) {
    std::set<std::string> names;
    for (const Case& item : cases) {
        std::error_code error;
        if (!fs::is_directory(item.maskFolder, error)) continue;
        for (const fs::path& file : sortedEntries(item.maskFolder))
            if (isImageName(file) && !isPreviewName(file)) names.insert(imageStem(file));
    }
    return names;
}

std::string suggestion(const std::string& name, const std::vector<std::string>& known) {
    const std::string near = nearestWord(name, known);
    return near.empty() ? std::string() : fmt::format(": did you mean \"{}\"?", near);
}

LabelTable chosenMaskLabels(const Dataset& dataset, const std::vector<std::string>& structures) {
    if (structures.empty()) return totalSegmentatorLabels();
    std::vector<std::string> known = totalSegmentatorClasses();
    const std::set<std::string> present = maskNames(dataset.cases);
    known.insert(known.end(), present.begin(), present.end());
    for (const std::string& name : structures)
        if (std::find(known.begin(), known.end(), name) == known.end())
            throw DataError(dataset.root.string(),
                            fmt::format("no case has a mask of \"{}\"{}", name, suggestion(name, known)));
    return LabelTable::fromNames(structures);
}

/// Label names that come with the pairs: dataset.json, else the table inside the first label file.
std::map<int, std::string> pairLabelNames(const Dataset& dataset) {
    const fs::path file = dataset.root / "dataset.json";
    std::error_code error;
    if (fs::exists(file, error)) return readDatasetLabels(file);
    std::map<int, std::string> names;
    const auto first = std::find_if(dataset.cases.begin(), dataset.cases.end(),
                                    [&](const Case& item) { return fs::exists(item.labelFile, error); });
    if (first == dataset.cases.end()) return names;
    const ImageHeader header = readImageHeader(first->labelFile);
    for (const Label& label : header.labels.labels()) names[label.id] = label.name;
    return names;
}

void choosePairLabels(Dataset& dataset, const std::vector<std::string>& structures) {
    std::map<int, std::string> names = pairLabelNames(dataset);
    if (names.empty())
        for (std::size_t i = 0; i < structures.size(); ++i) names[static_cast<int>(i) + 1] = structures[i];
    if (names.empty())
        throw DataError(
            dataset.root.string(),
            "the labels have no names: add a dataset.json with \"labels\", or list data.structures in the order of "
            "the label values");
    if (names.begin()->first < 1 || names.rbegin()->first > 65535)
        throw DataError(dataset.root.string(), "label values must lie in 1..65535");
    std::vector<std::string> known, chosen = structures;
    for (const auto& [value, name] : names) known.push_back(name);
    if (chosen.empty()) chosen = known;
    dataset.labels = LabelTable::fromNames(chosen);
    for (const std::string& name : chosen)
        if (std::find(known.begin(), known.end(), name) == known.end())
            throw DataError(dataset.root.string(),
                            fmt::format("the dataset has no label \"{}\"{}", name, suggestion(name, known)));
    dataset.outputOfValue.assign(static_cast<std::size_t>(names.rbegin()->first) + 1, -1);
    dataset.outputOfValue[0] = 0;
    for (const auto& [value, name] : names) {
        const Label* label = dataset.labels.findName(name);
        dataset.outputOfValue[static_cast<std::size_t>(value)] = label != nullptr ? label->id : 0;
    }
}

[[noreturn]] void reportNoCases(const DataSettings& settings) {
    const std::string folders = "*/ct.nii.gz", pairs = fmt::format("{}/*{}", settings.images, settings.imageSuffix);
    const std::string looked = settings.layout == "totalsegmentator" ? folders
                               : settings.layout == "pairs"          ? pairs
                                                                     : folders + " and " + pairs;
    throw DataError(settings.root, fmt::format("holds no cases: looked for {}", looked));
}

}  // namespace

std::vector<Case> findCaseFolders(const fs::path& root) {
    const auto caseIn = [](const fs::path& folder, const fs::path& image) {
        return Case{
            .id = folder.filename().string(), .image = image, .labelFile = {}, .maskFolder = folder / "segmentations"};
    };
    std::vector<Case> cases;
    for (const fs::path& entry : sortedEntries(root))
        if (std::error_code error; fs::is_directory(entry, error))
            if (const auto image = caseImage(entry)) cases.push_back(caseIn(entry, *image));
    // The folder itself may be the one case.
    if (cases.empty())
        if (const auto image = caseImage(root)) cases.push_back(caseIn(fs::weakly_canonical(root), *image));
    return cases;
}

std::map<int, std::string> readDatasetLabels(const fs::path& file) {
    std::map<int, std::string> names;
    try {
        const Json labels = Json::parse(readTextFile(file)).at("labels");
        for (const auto& [key, value] : labels.items()) {
            if (value.is_number_integer()) {
                names[value.get<int>()] = key;
            } else if (value.is_string()) {
                names[std::stoi(key)] = value.get<std::string>();
            } else {
                throw DataError(
                    file.string(),
                    fmt::format("label \"{}\" is a region of several values: list data.structures instead", key));
            }
        }
    } catch (const std::exception& problem) {
        if (const auto* known = dynamic_cast<const Error*>(&problem)) throw DataError(known->what());
        throw DataError(file.string(), fmt::format("has no readable \"labels\": {}", problem.what()));
    }
    names.erase(0);
    return names;
}

DataSettings withDatasetEnding(const DataSettings& settings) {
    const DataSettings defaults;
    const fs::path file = fs::path(settings.root) / "dataset.json";
    std::error_code error;
    if (settings.imageSuffix != defaults.imageSuffix || settings.labelSuffix != defaults.labelSuffix ||
        !fs::is_regular_file(file, error))
        return settings;
    const Json json = Json::parse(readTextFile(file), nullptr, false);
    if (!json.is_object() || !json.contains("file_ending") || !json["file_ending"].is_string()) return settings;
    DataSettings result = settings;
    result.labelSuffix = json["file_ending"].get<std::string>();
    result.imageSuffix = "_0000" + result.labelSuffix;
    return result;
}

Dataset discoverDataset(const DataSettings& given) {
    const DataSettings settings = withDatasetEnding(given);
    if (settings.root.empty()) throw UsageError("data.root is empty: give the folder with the cases");
    std::error_code error;
    if (!fs::exists(settings.root, error))
        throw DataError(settings.root, "does not exist: give the folder with the cases");
    if (!fs::is_directory(settings.root, error))
        throw DataError(settings.root, "is not a folder: give the folder with the cases");
    Dataset dataset;
    dataset.root = settings.root;
    if (settings.layout != "pairs") dataset.cases = findCaseFolders(settings.root);
    if (dataset.cases.empty() && settings.layout != "totalsegmentator") {
        dataset.layout = Layout::Pairs;
        dataset.cases = findPairs(settings);
    }
    if (dataset.cases.empty()) reportNoCases(settings);
    dataset.ignoreOtherMasks = !settings.structures.empty();
    if (dataset.layout == Layout::TotalSegmentator)
        dataset.labels = chosenMaskLabels(dataset, settings.structures);
    else
        choosePairLabels(dataset, settings.structures);
    logDebug("{}: {} cases, {} labels", settings.root, dataset.cases.size(), dataset.labels.size());
    return dataset;
}

}  // namespace medseg
