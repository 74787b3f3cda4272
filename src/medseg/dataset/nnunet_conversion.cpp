#include "medseg/dataset/nnunet_conversion.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

constexpr std::uint64_t kWorkingBytes = std::uint64_t{32} << 20;

void writeChannel(const fs::path& from, const fs::path& to) {
    StoredImage stored = readStoredImage(from);
    if (stored.header.hasScaling)
        stored.voxels = scaledToFloat(stored.voxels, stored.header.slope, stored.header.inter);
    if (const auto* values = std::get_if<Volume<float>>(&stored.voxels))
        if (std::any_of(values->data(), values->data() + values->voxelCount(),
                        [](float value) { return std::isnan(value); }))
            throw DataError(from.string(), "holds NaN, which nnU-Net refuses");
    writeImage(to, stored.voxels);
}

CaseSummary writeCase(const PipelineCase& item, const NnunetSettings& settings, const fs::path& folder) {
    createDirectories(folder / "imagesTr");
    createDirectories(folder / "labelsTr");
    const fs::path& labelFile = item.inputs.front();
    const Geometry grid = readImageHeader(labelFile).geometry;
    for (std::size_t channel = 0; channel + 1 < item.inputs.size(); ++channel) {
        const fs::path& file = item.inputs[channel + 1];
        requireSameGeometry(readImageHeader(file).geometry, file.string(), grid, labelFile.string());
        writeChannel(file, folder / "imagesTr" / fmt::format("{}_{:04}.nii.gz", item.id, channel));
    }
    const LabelMap labels = readLabelMap(labelFile);
    const std::vector<std::int64_t> counts = labels.countVoxels();
    if (!settings.labelNames.empty() && counts.size() > settings.labelNames.size() + 1)
        throw DataError(labelFile.string(), fmt::format("holds label {}, names are given for 1 to {}",
                                                        counts.size() - 1, settings.labelNames.size()));
    writeLabelMap(folder / "labelsTr" / (item.id + ".nii.gz"), labels);
    CaseSummary summary;
    summary.values["voxels"] = counts;
    if (counts.size() <= 1) summary.warning = item.id + ": no label occurs";
    return summary;
}

}  // namespace

std::vector<PipelineCase> nnunetCases(const std::vector<ImageLabelPair>& pairs, const NnunetSettings& settings) {
    if (settings.channels.empty() || settings.channels.size() != settings.suffixes.size())
        throw UsageError(fmt::format("{} channels with {} image endings: give one ending a channel",
                                     settings.channels.size(), settings.suffixes.size()));
    std::vector<PipelineCase> cases;
    for (const ImageLabelPair& pair : pairs) {
        PipelineCase item{pair.id, {pair.label}};
        for (std::size_t channel = 0; channel < settings.channels.size(); ++channel) {
            const fs::path file = pair.image.parent_path() / (pair.id + settings.suffixes[channel]);
            if (!fs::exists(file))
                throw DataError(file.string(), fmt::format("is missing: channel {} (\"{}\") of case {}", channel,
                                                           settings.channels[channel], pair.id));
            item.inputs.push_back(file);
        }
        cases.push_back(std::move(item));
    }
    return cases;
}

CaseForm nnunetForm(const NnunetSettings& settings) {
    CaseForm form;
    form.name = "nnunet";
    form.parameters = {{"channels", settings.channels.size()}, {"labels", settings.labelNames.size()}};
    form.memory = [](const PipelineCase& item) {
        return static_cast<std::uint64_t>(readImageHeader(item.inputs.front()).geometry.voxelCount()) * 16 +
               kWorkingBytes;
    };
    form.process = [settings](const PipelineCase& item, const fs::path& folder) {
        return writeCase(item, settings, folder);
    };
    return form;
}

NnunetDescription describeNnunet(const CasePipelineResult& result, const NnunetSettings& settings) {
    NnunetDescription description;
    description.channels = settings.channels;
    description.numTraining = static_cast<std::int64_t>(result.records.size());
    std::size_t labels = settings.labelNames.size();
    if (labels == 0)
        for (const CaseRecord& record : result.records)
            labels = std::max(labels, record.values.at("voxels").size() - 1);
    description.labels.push_back({"background", {0}});
    for (std::size_t i = 0; i < labels; ++i)
        description.labels.push_back(
            {settings.labelNames.empty() ? fmt::format("label_{}", i + 1) : settings.labelNames[i],
             {static_cast<int>(i + 1)}});
    return description;
}

}  // namespace medseg
