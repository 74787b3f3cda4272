#include "medseg/dataset/volume_preparation.h"

#include <algorithm>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/npy_stream.h"
#include "medseg/io/half_float.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kForegroundStream = 0xf04e'0000ULL;
constexpr std::int64_t kPreviewTiles = 6;

std::vector<std::int64_t> countLabels(const std::vector<LabelMap>& layers, std::size_t labelCount) {
    std::vector<std::int64_t> counts(labelCount + 1, 0);
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
        const std::vector<std::int64_t> found = layers[layer].countVoxels();
        for (std::size_t id = layer == 0 ? 0 : 1; id < std::min(found.size(), counts.size()); ++id)
            counts[id] += found[id];
    }
    return counts;
}

/// Which of a label's voxels, in scan order, are kept.
class RankPicker {
  public:
    RankPicker(std::int64_t total, std::int64_t most, std::uint64_t label)
        : total_(total), wanted_(std::min(total, most)), random_(kForegroundStream, label) {
        draw();
    }
    /// Called once for each voxel of the label.
    bool keepNext() {
        if (rank_++ != next_) return false;
        ++taken_;
        draw();
        return true;
    }

  private:
    void draw() {
        if (taken_ >= wanted_) {
            next_ = -1;
            return;
        }
        const std::int64_t first = taken_ * total_ / wanted_, end = (taken_ + 1) * total_ / wanted_;
        next_ = first + static_cast<std::int64_t>(random_.index(static_cast<std::uint64_t>(end - first)));
    }

    std::int64_t total_, wanted_, rank_ = 0, taken_ = 0, next_ = -1;
    Random random_;
};

void writeImage(const Volume<float>& image, const fs::path& file) {
    const Index3& size = image.size();
    NpyStream stream(file, NpyType::F16, {size[2], size[1], size[0]});
    std::vector<std::uint16_t> half(static_cast<std::size_t>(size[0] * size[1]));
    for (std::int64_t z = 0; z < size[2]; ++z) {
        const float* plane = image.slice(z).data;
        std::transform(plane, plane + half.size(), half.begin(), floatToHalf);
        stream.append(half.data(), static_cast<std::int64_t>(half.size()));
    }
    stream.commit();
}

template <typename T>
void writeLabels(const std::vector<LabelMap>& layers, const fs::path& file) {
    const Index3& size = layers.front().geometry().size();
    NpyStream stream(file, npyTypeOf<T>(), {static_cast<std::int64_t>(layers.size()), size[2], size[1], size[0]});
    std::vector<T> plane(static_cast<std::size_t>(size[0] * size[1]));
    for (const LabelMap& layer : layers)
        layer.visit([&](const auto& voxels) {
            for (std::int64_t z = 0; z < size[2]; ++z) {
                const auto* source = voxels.slice(z).data;
                std::transform(source, source + plane.size(), plane.begin(),
                               [](auto value) { return static_cast<T>(value); });
                stream.append(plane.data(), static_cast<std::int64_t>(plane.size()));
            }
        });
    stream.commit();
}

void writeForeground(const std::vector<std::vector<std::uint32_t>>& voxels, const fs::path& file) {
    std::int64_t total = 0;
    for (const auto& list : voxels) total += static_cast<std::int64_t>(list.size());
    NpyStream stream(file, NpyType::U32, {total});
    for (const auto& list : voxels) stream.append(list.data(), static_cast<std::int64_t>(list.size()));
    stream.commit();
}

/// Axial slices spread over the volume, anterior on top, the patient's right on the left.
CasePreview previewOf(const Volume<float>& image, const LabelMap& labels) {
    const Index3& size = image.size();
    CasePreview preview{.width = size[0], .height = size[1], .gray = {}, .labels = {}};
    const std::int64_t tiles = std::min(kPreviewTiles, size[2]);
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const std::int64_t z = (2 * tile + 1) * size[2] / (2 * tiles);
        for (std::int64_t y = size[1]; y-- > 0;)
            for (std::int64_t x = size[0]; x-- > 0;) {
                preview.gray.push_back(static_cast<std::uint8_t>(255 * image(x, y, z)));
                preview.labels.push_back(static_cast<std::uint8_t>(std::min(labels.at(x, y, z), 255)));
            }
    }
    return preview;
}

/// Voxels as stored, as float and turned; one label layer, turned and resampled; the result.
std::uint64_t memoryOf(const ImageHeader& header, const VolumeFormat& format) {
    const auto source = static_cast<std::uint64_t>(header.geometry.voxelCount());
    const auto grid = static_cast<std::uint64_t>(networkGrid(header.geometry, format.spacing).voxelCount());
    return source * (8 + 4 + 4 + 2) + grid * (4 + 2 + 2);
}

CaseSummary prepareVolume(const Dataset& dataset, const Case& item, const VolumeFormat& format,
                          const fs::path& folder) {
    const VolumeCachePaths paths{folder};
    for (const fs::path& file : {paths.image("x"), paths.labels("x"), paths.foreground("x")})
        createDirectories(file.parent_path());
    StoredImage stored = readCaseImage(item);
    const Geometry source = geometryOf(stored.voxels);
    LabelLayers labels = readCaseLabels(dataset, item, source);
    Volume<float> values = scaledToFloat(stored.voxels, stored.header.slope, stored.header.inter);
    stored.voxels = AnyVolume();
    const Volume<float> image = networkVolume(std::move(values), format);
    throwIfInterrupted();
    for (LabelMap& layer : labels.layers) layer = networkLabels(layer, format);

    writeImage(image, paths.image(item.id));
    if (format.labelBytes() == 1)
        writeLabels<std::uint8_t>(labels.layers, paths.labels(item.id));
    else
        writeLabels<std::uint16_t>(labels.layers, paths.labels(item.id));
    const auto foreground = sampleForeground(labels.layers, format.labels.size(), kForegroundVoxels);
    writeForeground(foreground, paths.foreground(item.id));

    CaseSummary summary;
    std::vector<std::size_t> kept;
    for (const auto& list : foreground) kept.push_back(list.size());
    summary.values = {{"size", image.size()},
                      {"affine", image.geometry().affine()},
                      {"source_size", source.size()},
                      {"source_affine", source.affine()},
                      {"layers", labels.layers.size()},
                      {"voxels", countLabels(labels.layers, format.labels.size())},
                      {"foreground", kept}};
    if (std::all_of(kept.begin(), kept.end(), [](std::size_t count) { return count == 0; }))
        summary.warning = "shows none of the structures";
    summary.preview = previewOf(image, labels.layers.front());
    return summary;
}

void writeLabelMapFile(const fs::path& file, const LabelTable& labels) {
    Json channels = Json::object();
    for (const Label& label : labels.labels()) channels[label.name] = label.id - 1;
    writeTextFile(file, channels.dump(2) + "\n");
}

}  // namespace

std::vector<std::vector<std::uint32_t>> sampleForeground(const std::vector<LabelMap>& layers, std::size_t labelCount,
                                                         std::int64_t most) {
    const Geometry& grid = layers.front().geometry();
    if (grid.voxelCount() > std::numeric_limits<std::uint32_t>::max())
        throw DataError(fmt::format("{} voxels are too many: raise prepare.spacing", formatSize(grid.size())));
    const std::vector<std::int64_t> totals = countLabels(layers, labelCount);
    std::vector<std::vector<std::uint32_t>> voxels(labelCount + 1);
    std::vector<RankPicker> pickers;
    for (std::size_t id = 0; id <= labelCount; ++id) pickers.emplace_back(totals[id], most, id);
    for (const LabelMap& layer : layers)
        layer.visit([&](const auto& values) {
            const auto* value = values.data();
            for (std::int64_t i = 0; i < values.voxelCount(); ++i)
                if (const auto id = static_cast<std::size_t>(value[i]); id > 0 && id <= labelCount)
                    if (pickers[id].keepNext()) voxels[id].push_back(static_cast<std::uint32_t>(i));
        });
    return voxels;
}

CasePipelineResult prepareVolumes(const Dataset& dataset, const PrepareSettings& settings, const fs::path& directory) {
    const VolumeFormat format = volumeFormatFrom(settings, dataset.labels);
    std::map<std::string, const Case*> byId;
    std::vector<PipelineCase> cases;
    for (const Case& item : dataset.cases) {
        byId[item.id] = &item;
        PipelineCase& one = cases.emplace_back();
        one.id = item.id;
        one.inputs = caseFiles(item);
    }
    CaseForm form;
    form.name = kVolumeCacheForm;
    form.version = kVolumeCacheVersion;
    std::vector<std::string> names;
    for (const Label& label : format.labels.labels()) names.push_back(label.name);
    form.parameters = {{"spacing", format.spacing},
                       {"window", format.window},
                       {"labels", names},
                       {"output_of_value", dataset.outputOfValue}};
    form.memory = [&](const PipelineCase& item) { return memoryOf(readImageHeader(byId.at(item.id)->image), format); };
    form.process = [&](const PipelineCase& item, const fs::path& folder) {
        return prepareVolume(dataset, *byId.at(item.id), format, folder);
    };
    // Until the new manifest is written, the old one must not vouch for a mixture of old and new files.
    createDirectories(directory);
    const VolumeCachePaths paths{directory};
    std::error_code ignored;
    fs::remove(paths.manifest(), ignored);
    CasePipelineResult result = runCasePipeline(form, cases, directory);
    if (result.records.empty()) {
        fs::remove(paths.manifest(), ignored);
        throw DataError(result.failures.empty() ? dataset.root.string() + ": has no cases"
                                                : result.failures.front().message);
    }
    writeLabelMapFile(paths.labelMap(), format.labels);
    return result;
}

}  // namespace medseg
