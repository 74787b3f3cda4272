#include "medseg/dataset/sam3d_dataset.h"

#include <algorithm>
#include <limits>
#include <map>
#include <regex>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using CaseSlices = std::map<std::string, std::vector<std::pair<int, std::int64_t>>>;

CaseSlices listSlices(const fs::path& folder, const std::vector<int>& axes) {
    static const std::regex pattern(R"((.+)_axis([012])_slice(\d{1,9})\.npz)");
    if (!fs::is_directory(folder))
        throw DataError(folder.string(), "no such folder: run `medseg prepare --form sam3d`");
    CaseSlices found;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        std::smatch match;
        if (!std::regex_match(name, match, pattern)) continue;
        const int axis = std::stoi(match[2]);
        if (std::find(axes.begin(), axes.end(), axis) != axes.end())
            found[match[1]].emplace_back(axis, std::stoll(match[3]));
    }
    if (found.empty())
        throw DataError(folder.string(), "no slices (CASE_axisA_sliceNNNN.npz): run `medseg prepare --form sam3d`");
    for (auto& [id, slices] : found) std::sort(slices.begin(), slices.end());
    return found;
}

/// Pixels of the label (negative distance) on every slice across every axis.
std::array<std::vector<std::int64_t>, 3> pixelCounts(const float* distance, const Index3& size) {
    std::array<std::vector<std::int64_t>, 3> counts;
    for (std::size_t axis = 0; axis < 3; ++axis) counts[axis].assign(static_cast<std::size_t>(size[axis]), 0);
    for (std::int64_t i = 0; i < size[0]; ++i)
        for (std::int64_t j = 0; j < size[1]; ++j)
            for (std::int64_t k = 0; k < size[2]; ++k)
                if (distance[(i * size[1] + j) * size[2] + k] < 0) {
                    ++counts[0][static_cast<std::size_t>(i)];
                    ++counts[1][static_cast<std::size_t>(j)];
                    ++counts[2][static_cast<std::size_t>(k)];
                }
    return counts;
}

NpyArray readDistances(const fs::path& file, int classes) {
    NpyArray array = readNpy(file);
    if (array.type != NpyType::F32 || array.shape.size() != 4)
        throw DataError(file.string(), "not the float32 distances (classes, i, j, k) of `medseg prepare --form sam3d`");
    if (array.shape[0] < classes)
        throw DataError(file.string(), fmt::format("holds distances of {} labels, sam3d.classes asks for {}: prepare "
                                                   "with --classes {}",
                                                   array.shape[0], classes, classes));
    return array;
}

void requireShape(const NpyArray& array, const std::vector<std::int64_t>& shape, const std::string& source,
                  const char* name) {
    if (array.shape != shape) throw DataError(source, fmt::format("array {} has an unexpected shape", name));
}

}  // namespace

Sam3dDataset::Sam3dDataset(const fs::path& folder, const Sam3dDatasetSettings& settings)
    : folder_(folder), settings_(settings) {
    const CaseSlices found = listSlices(folder, settings.axes);
    for (const auto& [id, slices] : found) cases_.push_back(id);
    if (settings_.classes == 0) settings_.classes = static_cast<int>(readDistances(distanceFile(0), 1).shape[0]);
    sizes_.resize(cases_.size());
    objects_.resize(cases_.size());
    parallelForEach(0, static_cast<std::int64_t>(cases_.size()), [&](std::int64_t i) {
        const auto index = static_cast<std::size_t>(i);
        scanCase(index, found.at(cases_[index]));
    });
}

void Sam3dDataset::scanCase(std::size_t caseIndex, const std::vector<std::pair<int, std::int64_t>>& slices) {
    const fs::path file = distanceFile(caseIndex);
    const NpyArray distances = readDistances(file, settings_.classes);
    const Index3 size{distances.shape[1], distances.shape[2], distances.shape[3]};
    sizes_[caseIndex] = size;
    const std::int64_t voxels = size[0] * size[1] * size[2];
    for (int label = 1; label <= settings_.classes; ++label) {
        const auto counts = pixelCounts(distances.as<float>() + (label - 1) * voxels, size);
        for (const auto& [axis, slice] : slices) {
            const auto& along = counts[static_cast<std::size_t>(axis)];
            if (slice >= static_cast<std::int64_t>(along.size()))
                throw DataError(file.string(), fmt::format("is smaller than slice {} across axis {}", slice, axis));
            const std::int64_t pixels = along[static_cast<std::size_t>(slice)];
            if (pixels >= settings_.minPixels) objects_[caseIndex].push_back({caseIndex, label, axis, slice, pixels});
        }
    }
}

fs::path Sam3dDataset::distanceFile(std::size_t caseIndex) const {
    return folder_ / (cases_.at(caseIndex) + "_sdf.npy");
}

std::string Sam3dDataset::describe(const Sam3dObject& object) const {
    std::string name = sam3dSliceName(cases_.at(object.caseIndex), object.axis, object.slice);
    name.resize(name.size() - std::string_view(".npz").size());
    return fmt::format("{} label {}", name, object.label);
}

Sam3dDataset::LoadedSlice Sam3dDataset::readSlice(const Sam3dObject& object) const {
    const fs::path file = folder_ / sam3dSliceName(cases_.at(object.caseIndex), object.axis, object.slice);
    const std::string source = file.string();
    const NpzFile archive(file);
    for (const char* name : {"image", "mask", "pointmap", "affine"})
        if (!archive.contains(name)) throw DataError(source, fmt::format("array {} is missing", name));
    const NpyArray image = archive.read("image"), mask = archive.read("mask"), points = archive.read("pointmap"),
                   affine = archive.read("affine");
    if (mask.shape.size() != 2) throw DataError(source, "array mask has an unexpected shape");
    LoadedSlice loaded;
    Sam3dSlice& slice = loaded.slice;
    slice.axis = object.axis;
    slice.index = object.slice;
    slice.height = mask.shape[0];
    slice.width = mask.shape[1];
    requireShape(image, {3, slice.height, slice.width}, source, "image");
    requireShape(points, {3, slice.height, slice.width}, source, "pointmap");
    requireShape(affine, {4, 4}, source, "affine");
    const auto pixels = static_cast<std::size_t>(slice.height * slice.width);
    const float* intensities = image.as<float>();
    slice.image.assign(intensities, intensities + pixels);
    const std::uint8_t* labels = mask.as<std::uint8_t>();
    slice.mask.assign(labels, labels + pixels);
    const float* xyz = points.as<float>();
    slice.pointmap.assign(xyz, xyz + 3 * pixels);
    const std::vector<double> rows = affine.toDoubles();
    for (std::size_t i = 0; i < 16; ++i) loaded.affine[i / 4][i % 4] = rows[i];
    return loaded;
}

Volume<float> Sam3dDataset::readDistance(std::size_t caseIndex, int label) const {
    const NpyArray distances = readDistances(distanceFile(caseIndex), settings_.classes);
    const Index3& size = sizes_.at(caseIndex);
    Volume<float> volume(Geometry::axisAligned({size[2], size[1], size[0]}, {1, 1, 1}));
    const float* first = distances.as<float>() + (label - 1) * volume.voxelCount();
    std::copy_n(first, volume.voxelCount(), volume.data());
    return volume;
}

Sam3dSlice centredSlice(const Sam3dSlice& slice, std::int64_t height, std::int64_t width) {
    Sam3dSlice result;
    result.axis = slice.axis;
    result.index = slice.index;
    result.height = height > 0 ? height : slice.height;
    result.width = width > 0 ? width : slice.width;
    const auto pixels = static_cast<std::size_t>(result.height * result.width);
    const float lowest = slice.image.empty() ? 0 : *std::min_element(slice.image.begin(), slice.image.end());
    result.image.assign(pixels, lowest);
    result.mask.assign(pixels, 0);
    result.pointmap.assign(3 * pixels, std::numeric_limits<float>::quiet_NaN());
    // Positive: rows and columns cut away at the start; negative: padded.
    const std::int64_t top = (slice.height - result.height) / 2, left = (slice.width - result.width) / 2;
    for (std::int64_t y = std::max<std::int64_t>(0, -top); y < std::min(result.height, slice.height - top); ++y)
        for (std::int64_t x = std::max<std::int64_t>(0, -left); x < std::min(result.width, slice.width - left); ++x) {
            const auto to = static_cast<std::size_t>(y * result.width + x);
            const auto from = static_cast<std::size_t>((y + top) * slice.width + x + left);
            result.image[to] = slice.image[from];
            result.mask[to] = slice.mask[from];
            for (std::size_t c = 0; c < 3; ++c)
                result.pointmap[c * pixels + to] =
                    slice.pointmap[c * static_cast<std::size_t>(slice.height * slice.width) + from];
        }
    return result;
}

}  // namespace medseg
