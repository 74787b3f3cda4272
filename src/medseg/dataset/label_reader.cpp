#include "medseg/dataset/label_reader.h"

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>

#include "medseg/base/files.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/io/image_file.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

/// Puts the voxels of `layer` over those of `labels`. Returns how many were labelled before.
std::int64_t putOver(LabelMap& labels, const LabelMap& layer) {
    std::int64_t overlapping = 0;
    labels.visit([&](auto& below) {
        layer.visit([&](const auto& above) {
            using T = std::remove_cvref_t<decltype(below.data()[0])>;
            for (std::int64_t i = 0; i < below.voxelCount(); ++i) {
                const auto value = static_cast<T>(above.data()[i]);
                if (value == 0) continue;
                if (below.data()[i] != 0) ++overlapping;
                below.data()[i] = std::max(below.data()[i], value);
            }
        });
    });
    return overlapping;
}

}  // namespace

std::string overlapWarning(std::int64_t voxels) {
    return fmt::format("masks overlap in {} voxels: the later structure has them", voxels);
}

LabelReader::LabelReader(LabelTable structures, bool ignoreOtherMasks)
    : structures_(std::move(structures)), ignoreOtherMasks_(ignoreOtherMasks) {}

void LabelReader::requireGrid(const fs::path& labels, const Geometry& grid, const fs::path& image) const {
    if (readsMasks()) return;
    requireSameGeometry(grid, image.string(), readImageHeader(labels).geometry, labels.string());
}

CaseLabels LabelReader::read(const fs::path& labels, const Geometry& grid, const fs::path& image) const {
    if (!readsMasks()) return {readLabelMap(labels), 0};
    Dataset dataset;
    dataset.labels = structures_;
    dataset.ignoreOtherMasks = ignoreOtherMasks_;
    const Case item{.id = {}, .image = image, .labelFile = {}, .maskFolder = labels};
    LabelLayers layers = readCaseLabels(dataset, item, grid);
    CaseLabels result{std::move(layers.layers.front()), 0};
    for (std::size_t i = 1; i < layers.layers.size(); ++i) result.overlapping += putOver(result.map, layers.layers[i]);
    return result;
}

std::size_t LabelReader::voxelBytes(const fs::path& labels) const {
    if (readsMasks()) return structures_.size() <= 255 ? 1 : 2;
    return voxelTypeSize(readImageHeader(labels).storedType);
}

}  // namespace medseg
