#include "medseg/metrics/case_pairing.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

namespace fs = std::filesystem;

/// Files of these names mark a folder as one of structure masks: no data set names its cases so.
constexpr std::array<std::string_view, 12> kTellingStructures{
    "liver",   "spleen",    "aorta", "heart",       "stomach",      "pancreas",
    "trachea", "esophagus", "colon", "kidney_left", "kidney_right", "urinary_bladder"};

/// What the label map in a case folder may be called.
constexpr std::array<std::string_view, 4> kLabelMapNames{"segmentation", "segmentations", "labels", "label"};

bool isHidden(const fs::path& path) {
    return path.filename().string().starts_with(".");
}

std::vector<fs::path> sortedEntries(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
        if (!isHidden(entry.path())) entries.push_back(entry.path());
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    std::sort(entries.begin(), entries.end());
    return entries;
}

bool isDicomName(const fs::path& path) {
    return endsWithIgnoringCase(path.filename().string(), ".dcm");
}

/// Any image, or a DICOM segmentation; of a NIfTI pair the header stands for both files.
bool isLabelFile(const fs::path& path) {
    return fs::is_regular_file(path) && (isImageName(path) || isDicomName(path)) && path.extension() != ".img";
}

std::string stemOf(const fs::path& path) {
    return isDicomName(path) ? path.stem().string() : imageStem(path);
}

bool isMaskFile(const fs::path& path) {
    return isLabelFile(path) && !isPreviewName(path);
}

bool holdsTellingStructures(const fs::path& folder) {
    int found = 0;
    for (const fs::path& entry : sortedEntries(folder))
        if (isMaskFile(entry) &&
            std::find(kTellingStructures.begin(), kTellingStructures.end(), stemOf(entry)) != kTellingStructures.end())
            ++found;
    return found >= 2;
}

bool isStructureFolder(const fs::path& folder, CaseLayout layout) {
    if (layout != CaseLayout::Auto) return layout == CaseLayout::Structures;
    return folder.filename() == "segmentations" || holdsTellingStructures(folder);
}

fs::path withoutTrailingSlash(const fs::path& path) {
    return path.has_filename() ? path : path.parent_path();
}

std::string structureFolderCase(const fs::path& folder) {
    const fs::path absolute = withoutTrailingSlash(fs::absolute(folder).lexically_normal());
    return absolute.filename() == "segmentations" ? absolute.parent_path().filename().string()
                                                  : absolute.filename().string();
}

/// The segmentation inside a case folder; nothing if the folder is not one.
std::vector<CaseSource> caseInFolder(const fs::path& folder) {
    const std::string name = folder.filename().string();
    if (fs::is_directory(folder / "segmentations")) return {{name, folder / "segmentations", true, false}};
    for (const fs::path& entry : sortedEntries(folder))
        if (isLabelFile(entry) &&
            std::find(kLabelMapNames.begin(), kLabelMapNames.end(), stemOf(entry)) != kLabelMapNames.end())
            return {{name, entry, false, false}};
    if (holdsTellingStructures(folder)) return {{name, folder, true, false}};
    return {};
}

std::string withoutChannel(const std::string& stem) {
    return stem.ends_with("_0000") ? stem.substr(0, stem.size() - 5) : stem;
}

std::vector<CaseSource> casesInFolder(const fs::path& root) {
    const std::vector<fs::path> entries = sortedEntries(root);
    const bool hasVolumes = std::any_of(entries.begin(), entries.end(), isMaskFile);
    const auto isCase = [&](const fs::path& entry) { return hasVolumes ? isMaskFile(entry) : isLabelFile(entry); };
    std::set<std::string> stems;
    for (const fs::path& entry : entries)
        if (isCase(entry)) stems.insert(stemOf(entry));
    std::vector<CaseSource> cases;
    for (const fs::path& entry : entries) {
        if (fs::is_directory(entry)) {
            for (CaseSource& source : caseInFolder(entry)) cases.push_back(std::move(source));
        } else if (isCase(entry)) {
            const std::string stem = stemOf(entry);
            const std::string name = withoutChannel(stem);
            if (name != stem && stems.count(name) > 0) continue;
            cases.push_back({name, entry, false, false});
        }
    }
    std::sort(cases.begin(), cases.end(), [](const CaseSource& a, const CaseSource& b) { return a.name < b.name; });
    return cases;
}

void requireUniqueNames(const std::vector<CaseSource>& cases) {
    for (std::size_t i = 1; i < cases.size(); ++i)
        if (cases[i].name == cases[i - 1].name)
            throw DataError(cases[i].path.string(), fmt::format("case \"{}\" also lies in {}: keep one of them",
                                                                cases[i].name, cases[i - 1].path.string()));
}

/// The part of `folder` that belongs to the single file `other`.
std::vector<CaseSource> casesBesideFile(const fs::path& folder, const CaseSource& other, CaseLayout layout) {
    if (layout != CaseLayout::Structures)
        for (const CaseSource& source : casesInFolder(folder))
            if (source.name == other.name) return {source};
    if (layout == CaseLayout::Cases) return {};
    const fs::path masks = fs::is_directory(folder / "segmentations") ? folder / "segmentations" : folder;
    return {{other.name, masks, true, true}};
}

}  // namespace

std::vector<CaseSource> findCases(const fs::path& root, CaseLayout layout) {
    std::error_code error;
    const fs::file_status status = fs::status(root, error);
    if (!fs::exists(status)) throw DataError(root.string(), "no such file or folder");
    if (!fs::is_directory(status)) return {{withoutChannel(stemOf(root)), root, false, true}};
    if (isStructureFolder(withoutTrailingSlash(root), layout)) return {{structureFolderCase(root), root, true, true}};
    std::vector<CaseSource> cases = layout == CaseLayout::Cases ? std::vector<CaseSource>{} : caseInFolder(root);
    if (!cases.empty()) {
        cases.front().name = structureFolderCase(root);
        cases.front().isWholeInput = true;
        return cases;
    }
    cases = casesInFolder(root);
    if (cases.empty())
        throw DataError(
            root.string(),
            "no cases in it: expected image files, CASE/segmentations/*.nii.gz or CASE/segmentation.nii.gz");
    requireUniqueNames(cases);
    return cases;
}

CasePairing pairCases(const fs::path& reference, const fs::path& prediction, CaseLayout layout) {
    std::vector<CaseSource> references = findCases(reference, layout);
    std::vector<CaseSource> predictions = findCases(prediction, layout);
    const bool referenceIsFolder = fs::is_directory(reference);
    const bool predictionIsFolder = fs::is_directory(prediction);
    if (!referenceIsFolder && predictionIsFolder)
        predictions = casesBesideFile(prediction, references.front(), layout);
    else if (referenceIsFolder && !predictionIsFolder)
        references = casesBesideFile(reference, predictions.front(), layout);

    CasePairing pairing;
    if (references.size() == 1 && predictions.size() == 1 &&
        (references.front().isWholeInput || predictions.front().isWholeInput)) {
        pairing.pairs.push_back({references.front(), predictions.front()});
        return pairing;
    }
    std::map<std::string, CaseSource> byName;
    for (CaseSource& source : predictions) byName.emplace(source.name, std::move(source));
    for (CaseSource& source : references) {
        const auto found = byName.find(source.name);
        if (found == byName.end()) {
            pairing.missingPredictions.push_back(std::move(source));
        } else {
            pairing.pairs.push_back({std::move(source), std::move(found->second)});
            byName.erase(found);
        }
    }
    for (auto& [name, source] : byName) pairing.predictionsWithoutReference.push_back(std::move(source));
    return pairing;
}

std::vector<std::pair<std::string, fs::path>> structureMasks(const fs::path& folder) {
    std::vector<std::pair<std::string, fs::path>> masks;
    for (const fs::path& entry : sortedEntries(folder))
        if (isMaskFile(entry)) masks.emplace_back(stemOf(entry), entry);
    if (masks.empty()) throw DataError(folder.string(), "no structure masks in it");
    return masks;
}

}  // namespace medseg
