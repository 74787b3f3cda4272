#include "medseg/dataset/nnunet_conversion.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/case_preview.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kWorkingBytes = std::uint64_t{32} << 20;

bool isTestCase(const PipelineCase& item) {
    return item.parameters.value("test", false);
}

/// Files of the channels: behind the labels, which test cases do not have.
std::vector<fs::path> channelsOf(const PipelineCase& item) {
    return {item.inputs.begin() + (isTestCase(item) ? 0 : 1), item.inputs.end()};
}

StoredImage readChannel(const fs::path& file) {
    StoredImage stored = readStoredImage(file);
    if (stored.header.hasScaling)
        stored.voxels = scaledToFloat(stored.voxels, stored.header.slope, stored.header.inter);
    stored.header.slope = 1;
    stored.header.inter = 0;
    if (const auto* values = std::get_if<Volume<float>>(&stored.voxels))
        if (std::any_of(values->data(), values->data() + values->voxelCount(),
                        [](float value) { return std::isnan(value); }))
            throw DataError(file.string(), "holds NaN, which nnU-Net refuses");
    return stored;
}

/// Labels of a training case; none of a test case.
std::optional<CaseLabels> readLabels(const PipelineCase& item, const NnunetSettings& settings,
                                     const LabelReader& reader, const Geometry& grid, const fs::path& image) {
    if (isTestCase(item)) return std::nullopt;
    const fs::path& file = item.inputs.front();
    reader.requireGrid(file, grid, image);
    CaseLabels labels = reader.read(file, grid, image);
    const std::size_t named = settings.labelNames.size(), largest = labels.map.countVoxels().size() - 1;
    if (named > 0 && largest > named)
        throw DataError(file.string(), fmt::format("holds label {}, names are given for 1 to {}", largest, named));
    return labels;
}

Json countsOf(const LabelMap& labels) {
    const std::vector<std::int64_t> counts = labels.countVoxels();
    Json json = Json::object();
    for (std::size_t label = 1; label < counts.size(); ++label)
        if (counts[label] > 0) json[std::to_string(label)] = counts[label];
    return json;
}

CaseSummary writeCase(const PipelineCase& item, const NnunetSettings& settings, const LabelReader& reader,
                      const fs::path& folder) {
    const fs::path images = folder / (isTestCase(item) ? "imagesTs" : "imagesTr");
    createDirectories(images);
    const std::vector<fs::path> files = channelsOf(item);
    const Geometry grid = readImageHeader(files.front()).geometry;
    for (const fs::path& file : files)
        requireSameGeometry(readImageHeader(file).geometry, file.string(), grid, files.front().string());
    const std::optional<CaseLabels> labels = readLabels(item, settings, reader, grid, files.front());
    CaseSummary summary;
    summary.values = {{"size", grid.size()}, {"spacing", grid.spacing()}};
    for (std::size_t channel = 0; channel < files.size(); ++channel) {
        const StoredImage image = readChannel(files[channel]);
        if (channel == 0) summary.preview = previewOfVolume(image, labels ? &labels->map : nullptr);
        writeImage(images / fmt::format("{}_{:04}.nii.gz", item.id, channel), image.voxels);
    }
    if (!labels) return summary;
    createDirectories(folder / "labelsTr");
    writeLabelMap(folder / "labelsTr" / (item.id + ".nii.gz"), labels->map);
    summary.values["labels"] = countsOf(labels->map);
    if (summary.values["labels"].empty())
        summary.warning = "no label occurs";
    else if (labels->overlapping > 0)
        summary.warning = overlapWarning(labels->overlapping);
    return summary;
}

/// Adds the channels of a case, the first of which is `image`. Returns the one that is missing, or nothing.
std::optional<fs::path> addChannels(PipelineCase& item, const fs::path& image, const std::string& start,
                                    const NnunetSettings& settings) {
    item.inputs.push_back(image);
    for (const std::string& suffix : settings.moreSuffixes) {
        item.inputs.push_back(image.parent_path() / (start + suffix));
        if (!fs::exists(item.inputs.back())) return item.inputs.back();
    }
    return std::nullopt;
}

std::string missingChannel(const PipelineCase& item, const fs::path& file, const NnunetSettings& settings) {
    const std::size_t channel = item.inputs.size() - (isTestCase(item) ? 1 : 2);
    return fmt::format("{}: is missing: channel {} (\"{}\") of case {}", file.string(), channel,
                       settings.channels[channel], item.id);
}

void requireSuffixes(const NnunetSettings& settings) {
    if (settings.channels.size() != settings.moreSuffixes.size() + 1)
        throw UsageError(fmt::format("{} channels with {} image endings: give one ending a channel",
                                     settings.channels.size(), settings.moreSuffixes.size() + 1));
}

}  // namespace

std::vector<PipelineCase> nnunetCases(const std::vector<ImageLabelPair>& pairs, const NnunetSettings& settings,
                                      std::vector<CaseFailure>& problems) {
    requireSuffixes(settings);
    std::vector<PipelineCase> cases;
    for (const ImageLabelPair& pair : pairs) {
        PipelineCase item{pair.id, {pair.label}};
        const bool ownFolder = fs::is_directory(pair.label);  // masks: the channels lie beside their folder
        if (const auto missing = addChannels(item, pair.image, ownFolder ? "" : pair.id, settings))
            problems.push_back({item.id, missingChannel(item, *missing, settings)});
        else
            cases.push_back(std::move(item));
    }
    return cases;
}

std::vector<PipelineCase> nnunetTestCases(const fs::path& folder, const std::string& suffix,
                                          const NnunetSettings& settings, std::vector<CaseFailure>& problems) {
    requireSuffixes(settings);
    std::vector<fs::path> images;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (!name.starts_with('.') && name.size() > suffix.size() && name.ends_with(suffix)) images.push_back(*it);
    }
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    if (images.empty()) throw DataError(folder.string(), fmt::format("holds no image *{}", suffix));
    std::sort(images.begin(), images.end());
    std::vector<PipelineCase> cases;
    for (const fs::path& image : images) {
        const std::string name = image.filename().string();
        PipelineCase item{name.substr(0, name.size() - suffix.size()), {}};
        item.parameters["test"] = true;
        if (const auto missing = addChannels(item, image, item.id, settings))
            problems.push_back({item.id, missingChannel(item, *missing, settings)});
        else
            cases.push_back(std::move(item));
    }
    return cases;
}

CaseForm nnunetForm(const NnunetSettings& settings, const LabelReader& reader) {
    CaseForm form;
    form.name = "nnunet";
    form.version = 2;
    form.parameters = {{"channels", settings.channels.size()}, {"labels", settings.labelNames.size()}};
    for (const Label& label : reader.structures().labels()) form.parameters["structures"].push_back(label.name);
    form.memory = [](const PipelineCase& item) {
        const Geometry grid = readImageHeader(channelsOf(item).front()).geometry;
        return static_cast<std::uint64_t>(grid.voxelCount()) * 16 + kWorkingBytes;
    };
    form.process = [settings, reader](const PipelineCase& item, const fs::path& folder) {
        return writeCase(item, settings, reader, folder);
    };
    return form;
}

NnunetDescription describeNnunet(const CasePipelineResult& result, const NnunetSettings& settings,
                                 const LabelReader& reader) {
    NnunetDescription description;
    description.channels = settings.channels;
    std::vector<std::string> names = settings.labelNames;
    if (names.empty())
        for (const Label& label : reader.structures().labels()) names.push_back(label.name);
    std::size_t largest = 0;
    for (const CaseRecord& record : result.records) {
        if (record.parameters.value("test", false)) continue;
        ++description.numTraining;
        for (const auto& [label, voxels] : record.values.at("labels").items())
            largest = std::max<std::size_t>(largest, std::stoul(label));
    }
    if (names.empty())
        for (std::size_t label = 1; label <= largest; ++label) names.push_back(fmt::format("label_{}", label));
    description.labels.push_back({"background", {0}});
    for (std::size_t i = 0; i < names.size(); ++i) description.labels.push_back({names[i], {static_cast<int>(i + 1)}});
    return description;
}

}  // namespace medseg
