#include "medseg/dataset/form_cases.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/layout.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

std::vector<fs::path> sortedEntries(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (!it->path().filename().string().starts_with('.')) entries.push_back(it->path());
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    std::sort(entries.begin(), entries.end());
    return entries;
}

/// The image CASE-image.nii.gz of a label CASE-label.nii.gz and the other way round; empty for other names.
fs::path markedPartner(const fs::path& file, std::string_view mark, std::string_view otherMark) {
    const std::string stem = imageStem(file), name = file.filename().string();
    if (!isImageName(file) || !stem.ends_with(mark)) return {};
    return file.parent_path() /
           fmt::format("{}{}{}", stem.substr(0, stem.size() - mark.size()), otherMark, name.substr(stem.size()));
}

void findMarkedIn(const fs::path& folder, std::vector<ImageLabelPair>& pairs, std::vector<CaseFailure>& problems) {
    constexpr std::string_view kImage = "-image", kLabel = "-label";
    for (const fs::path& file : sortedEntries(folder)) {
        const std::string stem = imageStem(file), name = file.filename().string();
        if (const fs::path label = markedPartner(file, kImage, kLabel); !label.empty()) {
            const std::string start = stem.substr(0, stem.size() - kImage.size());
            if (fs::exists(label))
                pairs.push_back({start, file, label});
            else
                problems.push_back(
                    {start, fmt::format("{}: has no label {}", file.string(), label.filename().string())});
        } else if (const fs::path image = markedPartner(file, kLabel, kImage); !image.empty() && !fs::exists(image)) {
            problems.push_back({name, fmt::format("{}: has no image {}", file.string(), image.filename().string())});
        }
    }
}

FormCases casesWithMasks(const DataSettings& data, const std::vector<Case>& folders) {
    DataSettings settings = data;
    settings.layout = "totalsegmentator";
    const Dataset dataset = discoverDataset(settings);
    FormCases found;
    found.reader = LabelReader(dataset.labels, dataset.ignoreOtherMasks);
    for (const Case& item : folders) {
        if (std::error_code error; fs::is_directory(item.maskFolder, error))
            found.pairs.push_back({item.id, item.image, item.maskFolder});
        else
            found.lonelyImages.push_back(item.image);
    }
    for (const fs::path& entry : sortedEntries(data.root)) {
        const fs::path masks = entry / "segmentations";
        const bool known = std::any_of(folders.begin(), folders.end(),
                                       [&](const Case& item) { return item.id == entry.filename().string(); });
        if (std::error_code error; !known && fs::is_directory(masks, error))
            found.problems.push_back({entry.filename().string(), fmt::format("{}: has no image {}", masks.string(),
                                                                             (entry / "ct.nii.gz").string())});
    }
    if (found.pairs.empty()) throw DataError(data.root, "no case has a folder \"segmentations\" with masks");
    return found;
}

FormCases casesInTwoFolders(const DataSettings& data) {
    const DataSettings settings = withDatasetEnding(data);
    const fs::path images = fs::path(settings.root) / settings.images,
                   labels = fs::path(settings.root) / settings.labelsFolder;
    PairSearch search = findImageLabelPairs(images, settings.imageSuffix, labels, settings.labelSuffix);
    FormCases found;
    found.pairs = std::move(search.pairs);
    found.lonelyImages = std::move(search.lonelyImages);
    for (const fs::path& label : search.lonelyLabels)
        found.problems.push_back({label.filename().string(), fmt::format("{}: has no image *{} in {}", label.string(),
                                                                         settings.imageSuffix, images.string())});
    return found;
}

}  // namespace

std::vector<ImageLabelPair> findMarkedPairs(const fs::path& root, std::vector<CaseFailure>& problems) {
    std::vector<ImageLabelPair> pairs;
    findMarkedIn(root, pairs, problems);
    for (const fs::path& entry : sortedEntries(root))
        if (fs::is_directory(entry)) findMarkedIn(entry, pairs, problems);
    std::sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return pairs;
}

FormCases findFormCases(const DataSettings& data) {
    const bool rooted = !data.root.empty();
    if (!rooted && !(fs::path(data.images).is_absolute() && fs::path(data.labelsFolder).is_absolute()))
        throw UsageError("no cases: give --input DIR, or --images DIR and --labels DIR");
    if (rooted && !fs::is_directory(data.root)) throw DataError(data.root, "is not a folder");
    if (rooted && data.layout != "pairs") {
        if (const std::vector<Case> folders = findCaseFolders(data.root); !folders.empty())
            return casesWithMasks(data, folders);
        if (data.layout == "totalsegmentator") throw DataError(data.root, "holds no cases: looked for */ct.nii.gz");
        FormCases marked;
        marked.pairs = findMarkedPairs(data.root, marked.problems);
        if (!marked.pairs.empty()) return marked;
        if (!fs::is_directory(fs::path(data.root) / data.images))
            throw DataError(data.root,
                            fmt::format("holds no cases: looked for */ct.nii.gz with */segmentations, *-image.nii.gz "
                                        "with *-label.nii.gz, and {}/*{}",
                                        data.images, data.imageSuffix));
    }
    return casesInTwoFolders(data);
}

std::string endingWithoutGz(const fs::path& image) {
    if (!isImageName(image)) return {};
    std::string ending = image.filename().string().substr(imageStem(image).size());
    if (endsWithIgnoringCase(ending, ".gz")) ending.resize(ending.size() - 3);
    return ending;
}

}  // namespace medseg
