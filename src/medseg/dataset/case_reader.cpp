#include "medseg/dataset/case_reader.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/class_list.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

/// Consecutive voxels inside a mask.
struct Voxels {
    std::int64_t first = 0, count = 0;
};
using RunList = std::vector<Voxels>;

struct Mask {
    int label = 0;
    fs::path file;
    RunList runs;
};

template <typename T>
RunList runsOf(const Volume<T>& volume, const std::string& name) {
    RunList runs;
    const T* voxels = volume.data();
    const std::int64_t count = volume.voxelCount();
    for (std::int64_t i = 0; i < count;) {
        if (voxels[i] == T{0}) {
            ++i;
            continue;
        }
        if constexpr (std::is_floating_point_v<T>)
            if (std::isnan(voxels[i])) throw DataError(name, "the mask holds NaN: masks are 0 outside and 1 inside");
        const std::int64_t first = i;
        while (i < count && voxels[i] != T{0}) ++i;
        runs.push_back({first, i - first});
    }
    return runs;
}

void readMask(Mask& mask, const Case& item, const Geometry& geometry) {
    throwIfInterrupted();
    const StoredImage stored = readStoredImage(mask.file);
    requireSameGeometry(geometryOf(stored.voxels), mask.file.string(), geometry, item.image.string());
    mask.runs = std::visit([&](const auto& volume) { return runsOf(volume, mask.file.string()); }, stored.voxels);
}

bool isMaskFile(const fs::path& file) {
    // TotalSegmentator also leaves statistics.json and a preview picture here.
    return isImageName(file) && !isPreviewName(file) && !file.filename().string().starts_with('.');
}

std::vector<fs::path> maskFiles(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (isMaskFile(it->path())) files.push_back(it->path());
    if (error)
        throw DataError(folder.string(),
                        fmt::format("cannot be listed: {}: each case needs a folder of masks", error.message()));
    std::sort(files.begin(), files.end());
    return files;
}

/// The masks that the dataset wants, in ascending label.
std::vector<Mask> wantedMasks(const Dataset& dataset, const Case& item) {
    std::vector<Mask> masks;
    for (const fs::path& file : maskFiles(item.maskFolder)) {
        const std::string name = imageStem(file);
        if (const Label* label = dataset.labels.findName(name)) {
            masks.push_back({.label = label->id, .file = file, .runs = {}});
        } else if (!dataset.ignoreOtherMasks) {
            const std::string near = nearestWord(name, totalSegmentatorClasses());
            throw DataError(file.string(),
                            fmt::format("unknown structure \"{}\"{}: rename or remove it, or list data.structures",
                                        name, near.empty() ? "" : fmt::format(" (nearest known: \"{}\")", near)));
        }
    }
    std::sort(masks.begin(), masks.end(), [](const Mask& a, const Mask& b) { return a.label < b.label; });
    return masks;
}

template <typename T>
bool overlaps(const Volume<T>& layer, const RunList& runs) {
    return std::any_of(runs.begin(), runs.end(), [&](const Voxels& run) {
        const T* first = layer.data() + run.first;
        return std::any_of(first, first + run.count, [](T value) { return value != 0; });
    });
}

/// Puts the structure into the first layer where nothing is in its way.
template <typename T>
void merge(const Mask& mask, const Geometry& geometry, std::vector<Volume<T>>& layers) {
    if (mask.runs.empty()) return;
    auto place =
        std::find_if(layers.begin(), layers.end(), [&](const auto& layer) { return !overlaps(layer, mask.runs); });
    if (place == layers.end()) {
        layers.emplace_back(geometry, T{0});
        place = layers.end() - 1;
    }
    for (const Voxels& run : mask.runs) std::fill_n(place->data() + run.first, run.count, static_cast<T>(mask.label));
}

template <typename T>
LabelLayers mergeMasks(const Dataset& dataset, const Case& item, const Geometry& geometry) {
    std::vector<Mask> masks = wantedMasks(dataset, item);
    std::vector<Volume<T>> layers;
    layers.emplace_back(geometry, T{0});
    // Reading is parallel, merging follows the order of the labels, so layers do not depend on the threads.
    const auto chunk = static_cast<std::size_t>(2 * threadCount());
    for (std::size_t begin = 0; begin < masks.size(); begin += chunk) {
        const std::size_t end = std::min(masks.size(), begin + chunk);
        parallelForEach(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end),
                        [&](std::int64_t i) { readMask(masks[static_cast<std::size_t>(i)], item, geometry); });
        for (std::size_t i = begin; i < end; ++i) {
            merge(masks[i], geometry, layers);
            masks[i].runs = {};
        }
    }
    LabelLayers result;
    for (Volume<T>& layer : layers) result.layers.emplace_back(std::move(layer), dataset.labels);
    return result;
}

template <typename T>
LabelLayers mapLabelFile(const Dataset& dataset, const Case& item, const Geometry& geometry) {
    const std::string name = item.labelFile.string();
    const LabelMap stored = readLabelMap(item.labelFile);
    requireSameGeometry(stored.geometry(), name, geometry, item.image.string());
    Volume<T> mapped(geometry);
    stored.visit([&](const auto& voxels) {
        const auto known = static_cast<int>(dataset.outputOfValue.size());
        parallelFor(0, voxels.voxelCount(), 1 << 20, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t i = first; i < last; ++i) {
                const int value = voxels.data()[i];
                const int output = value < known ? dataset.outputOfValue[static_cast<std::size_t>(value)] : -1;
                if (output < 0)
                    throw DataError(name, fmt::format("unknown label {}: the dataset names {} labels up to {}", value,
                                                      dataset.labels.size(), known - 1));
                mapped.data()[i] = static_cast<T>(output);
            }
        });
    });
    LabelLayers result;
    result.layers.emplace_back(std::move(mapped), dataset.labels);
    return result;
}

}  // namespace

StoredImage readCaseImage(const Case& item) {
    return readStoredImage(item.image);
}

LabelLayers readCaseLabels(const Dataset& dataset, const Case& item, const Geometry& geometry) {
    const bool small = dataset.labels.size() <= 255;
    if (item.labelFile.empty())
        return small ? mergeMasks<std::uint8_t>(dataset, item, geometry)
                     : mergeMasks<std::uint16_t>(dataset, item, geometry);
    return small ? mapLabelFile<std::uint8_t>(dataset, item, geometry)
                 : mapLabelFile<std::uint16_t>(dataset, item, geometry);
}

std::vector<fs::path> caseFiles(const Case& item) {
    std::vector<fs::path> files{item.image};
    std::error_code error;
    if (fs::is_directory(item.image, error)) files = dicomFilesIn(item.image);
    if (!item.labelFile.empty()) {
        files.push_back(item.labelFile);
    } else {
        const std::vector<fs::path> masks = maskFiles(item.maskFolder);
        files.insert(files.end(), masks.begin(), masks.end());
    }
    return files;
}

}  // namespace medseg
