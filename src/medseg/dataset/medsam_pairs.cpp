#include "medseg/dataset/medsam_pairs.h"

#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

/// Case id -> file, of the names with `suffix` that do not end with the longer `otherSuffix`.
std::map<std::string, fs::path> filesWithSuffix(const fs::path& folder, const std::string& suffix,
                                                const std::string& otherSuffix) {
    if (!fs::is_directory(folder)) throw DataError(folder.string(), "is not a folder");
    const bool otherIsLonger = otherSuffix.size() > suffix.size() && otherSuffix.ends_with(suffix);
    std::map<std::string, fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') || name.size() <= suffix.size() || !name.ends_with(suffix)) continue;
        if (otherIsLonger && name.ends_with(otherSuffix)) continue;
        files.emplace(name.substr(0, name.size() - suffix.size()), entry.path());
    }
    return files;
}

}  // namespace

PairSearch findImageLabelPairs(const fs::path& images, const std::string& imageSuffix, const fs::path& labels,
                               const std::string& labelSuffix) {
    std::error_code error;
    const bool together = fs::equivalent(images, labels, error);
    const auto imageFiles = filesWithSuffix(images, imageSuffix, together ? labelSuffix : "");
    const auto labelFiles = filesWithSuffix(labels, labelSuffix, together ? imageSuffix : "");
    std::map<std::string, ImageLabelPair> byLabelName;
    PairSearch found;
    for (const auto& [id, label] : labelFiles) {
        const auto image = imageFiles.find(id);
        if (image == imageFiles.end())
            found.lonelyLabels.push_back(label);
        else
            byLabelName[label.filename().string()] = {id, image->second, label};
    }
    for (auto& [name, pair] : byLabelName) found.pairs.push_back(std::move(pair));
    for (const auto& [id, image] : imageFiles)
        if (!labelFiles.contains(id)) found.lonelyImages.push_back(image);
    if (found.pairs.empty())
        throw DataError(labels.string(), fmt::format("no label \"*{}\" has an image \"*{}\" in {}", labelSuffix,
                                                     imageSuffix, images.string()));
    return found;
}

}  // namespace medseg
