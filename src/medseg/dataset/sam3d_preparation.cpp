#include "medseg/dataset/sam3d_preparation.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/case_preview.h"
#include "medseg/dataset/form_cases.h"
#include "medseg/dataset/npy_stream.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/resample.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"

namespace medseg {
namespace {

constexpr std::uint64_t kWorkingBytes = std::uint64_t{32} << 20;

void requireFinite(const Volume<float>& image, const fs::path& path) {
    const float* voxels = image.data();
    const std::int64_t count = image.voxelCount();
    for (std::int64_t i = 0; i < count; ++i)
        if (!std::isfinite(voxels[i]))
            throw DataError(path.string(),
                            fmt::format("voxel ({}, {}, {}) is {}: intensities must be finite", i % image.nx(),
                                        i / image.nx() % image.ny(), i / (image.nx() * image.ny()), voxels[i]));
}

Volume<std::uint8_t> checkedLabels(const LabelMap& labels, const fs::path& path, int classes) {
    const std::vector<std::int64_t> counts = labels.countVoxels();
    if (counts.size() <= 1)
        throw DataError(path.string(), "holds no label: every voxel is background, so there is no surface to learn");
    if (static_cast<int>(counts.size()) - 1 > classes)
        throw DataError(path.string(), fmt::format("holds label {}, expected are 1 to {}: give the number of classes",
                                                   counts.size() - 1, classes));
    return labels.visit([](const auto& voxels) {
        Volume<std::uint8_t> bytes(voxels.geometry());
        std::transform(voxels.data(), voxels.data() + voxels.voxelCount(), bytes.data(),
                       [](auto value) { return static_cast<std::uint8_t>(value); });
        return bytes;
    });
}

bool hasSpacing(const Geometry& geometry, double spacing) {
    const Vec3 old = geometry.spacing();
    return std::all_of(old.begin(), old.end(), [=](double mm) { return std::abs(mm - spacing) <= 1e-4 * spacing; });
}

std::vector<std::int64_t> countClasses(const Volume<std::uint8_t>& labels) {
    std::vector<std::int64_t> counts(256, 0);
    for (const std::uint8_t label : labels.voxels()) ++counts[label];
    return counts;
}

void writeDistances(const fs::path& path, const Sam3dVolume& volume, const Sam3dSettings& settings) {
    const Index3 size = volume.size();
    NpyStream stream(path, NpyType::F32, {settings.classes, size[0], size[1], size[2]});
    for (int label = 1; label <= settings.classes; ++label) {
        throwIfInterrupted();
        const Volume<float> distance =
            labelDistance(volume.labels, static_cast<std::uint8_t>(label), settings.distanceUnit);
        stream.append(distance.data(), distance.voxelCount());
    }
    stream.commit();
}

int writeSurfaces(const fs::path& folder, const std::string& id, const Sam3dVolume& volume,
                  const std::vector<std::int64_t>& counts, const Sam3dSettings& settings) {
    int written = 0;
    for (int label = 1; label <= settings.classes; ++label) {
        if (counts[static_cast<std::size_t>(label)] < settings.minMeshVoxels) continue;
        createDirectories(folder);
        const std::string name = fmt::format("class{}", label);
        const LabelMesh mesh{
            {label, name, labelColor(label)},
            extractLabelSurface(volume.labels, static_cast<std::uint8_t>(label), {settings.closeSurfaces})};
        writeMeshes(folder / fmt::format("{}_{}.obj", id, name), {&mesh, 1});
        ++written;
    }
    return written;
}

struct SlicePlace {
    int axis;
    std::int64_t index;
};

std::vector<SlicePlace> chooseSlices(const Sam3dVolume& volume, const Sam3dSettings& settings) {
    std::vector<SlicePlace> places;
    for (const int axis : settings.axes)
        for (const std::int64_t index : slicesWithForeground(volume, axis, settings.minForeground))
            places.push_back({axis, index});
    return places;
}

/// Evenly spaced slices across the last of the axes, as they lie in the files.
CasePreview previewOf(const Sam3dVolume& volume, const std::vector<SlicePlace>& places) {
    std::vector<SlicePlace> candidates;
    for (const SlicePlace& place : places)
        if (place.axis == places.back().axis) candidates.push_back(place);
    const ValueRange range = previewRange(volume.image.voxels());
    CasePreview preview;
    for (const std::int64_t tile : previewTiles(static_cast<std::int64_t>(candidates.size()))) {
        const SlicePlace& place = candidates[static_cast<std::size_t>(tile)];
        const Sam3dSlice slice = sam3dSlice(volume, place.axis, place.index, PointmapRule::Exact);
        const auto pixel = [&](std::int64_t row, std::int64_t column) {
            return static_cast<std::size_t>(row * slice.width + column);
        };
        addPreviewTile(
            preview, slice.height, slice.width,
            [&](std::int64_t row, std::int64_t column) { return previewByte(slice.image[pixel(row, column)], range); },
            [&](std::int64_t row, std::int64_t column) { return slice.mask[pixel(row, column)]; });
    }
    return preview;
}

nlohmann::ordered_json describe(const Sam3dVolume& volume, const std::vector<std::int64_t>& counts,
                                const std::vector<SlicePlace>& places, const Sam3dSettings& settings) {
    nlohmann::ordered_json values{{"size", volume.size()}};
    values["slices"] = nlohmann::ordered_json::object();
    for (const int axis : settings.axes) values["slices"][std::to_string(axis)] = nlohmann::ordered_json::array();
    for (const SlicePlace& place : places) values["slices"][std::to_string(place.axis)].push_back(place.index);
    values["labels"] = nlohmann::ordered_json::object();
    for (std::size_t label = 1; label < counts.size(); ++label)
        if (counts[label] > 0) values["labels"][std::to_string(label)] = counts[label];
    return values;
}

CaseSummary writeCase(const PipelineCase& item, const Sam3dSettings& settings, const LabelReader& reader,
                      const fs::path& folder, const fs::path& output) {
    std::int64_t overlapping = 0;
    const Sam3dVolume volume = readSam3dVolume(item.inputs.at(0), item.inputs.at(1), settings, reader, &overlapping);
    const std::vector<std::int64_t> counts = countClasses(volume.labels);
    const std::string distances = item.id + "_sdf.npy", distancePath = (output / distances).string();
    writeDistances(folder / distances, volume, settings);
    const std::vector<SlicePlace> places = chooseSlices(volume, settings);
    const Affine affine = volume.affine();
    parallelForEach(0, static_cast<std::int64_t>(places.size()), [&](std::int64_t i) {
        throwIfInterrupted();
        const auto [axis, index] = places[static_cast<std::size_t>(i)];
        writeSam3dSlice(folder / sam3dSliceName(item.id, axis, index),
                        sam3dSlice(volume, axis, index, settings.pointmap), affine, distancePath);
    });
    CaseSummary summary;
    summary.values = describe(volume, counts, places, settings);
    if (settings.meshes) summary.values["meshes"] = writeSurfaces(folder / "meshes", item.id, volume, counts, settings);
    std::vector<std::string> warnings;
    if (overlapping > 0) warnings.push_back(overlapWarning(overlapping));
    std::vector<int> absent;
    for (int label = 1; label <= settings.classes; ++label)
        if (counts[static_cast<std::size_t>(label)] == 0) absent.push_back(label);
    if (places.empty())
        warnings.push_back(fmt::format("no slice reaches {} of foreground", settings.minForeground));
    else
        summary.preview = previewOf(volume, places);
    if (!absent.empty())
        warnings.push_back(fmt::format("label {} does not occur: its distance is {} everywhere",
                                       fmt::join(absent, ", "), kSam3dNoSurface));
    summary.warning = fmt::format("{}", fmt::join(warnings, "; "));
    return summary;
}

nlohmann::ordered_json parametersOf(const Sam3dSettings& settings, const LabelReader& reader, const fs::path& output) {
    nlohmann::ordered_json json{{"classes", settings.classes},
                                {"spacing", settings.spacing},
                                {"axes", settings.axes},
                                {"min_foreground", settings.minForeground},
                                {"meshes", settings.meshes},
                                {"min_mesh_voxels", settings.minMeshVoxels},
                                {"close_surfaces", settings.closeSurfaces},
                                {"distance_unit", settings.distanceUnit == DistanceUnit::Voxel ? "voxel" : "mm"},
                                {"legacy_pointmap", settings.pointmap == PointmapRule::Legacy},
                                {"output", output.string()}};
    for (const Label& label : reader.structures().labels()) json["structures"].push_back(label.name);
    return json;
}

/// Image, labels, their turned copies and a distance volume, before or after resampling.
std::uint64_t memoryOf(const PipelineCase& item, const Sam3dSettings& settings) {
    const Geometry stored = readImageHeader(item.inputs.at(0)).geometry;
    const Geometry grid = settings.spacing > 0 && !hasSpacing(stored, settings.spacing)
                              ? isotropicGrid(stored, settings.spacing)
                              : stored;
    return static_cast<std::uint64_t>(stored.voxelCount()) * 14 + static_cast<std::uint64_t>(grid.voxelCount()) * 20 +
           kWorkingBytes;
}

}  // namespace

void checkSam3dSettings(const Sam3dSettings& settings) {
    if (settings.classes < 1 || settings.classes > 255)
        throw UsageError(fmt::format("{} classes: between 1 and 255", settings.classes));
    if (!(settings.spacing >= 0) || !std::isfinite(settings.spacing))
        throw UsageError(fmt::format("spacing {} mm: must be positive, or 0 to keep the grid", settings.spacing));
    if (!(settings.minForeground >= 0 && settings.minForeground <= 1))
        throw UsageError(fmt::format("least share of foreground {}: between 0 and 1", settings.minForeground));
    if (settings.axes.empty()) throw UsageError("no axis to cut across: give 0, 1 or 2");
    std::vector<int> axes = settings.axes;
    std::sort(axes.begin(), axes.end());
    if (axes.front() < 0 || axes.back() > 2) throw UsageError("axes to cut across are 0, 1 and 2");
    if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) throw UsageError("an axis is given twice");
}

Sam3dVolume readSam3dVolume(const fs::path& imagePath, const fs::path& labelPath, const Sam3dSettings& settings,
                            const LabelReader& reader, std::int64_t* overlapping) {
    const Geometry grid = readImageHeader(imagePath).geometry;
    reader.requireGrid(labelPath, grid, imagePath);
    Volume<float> image;
    Volume<std::uint8_t> labels;
    parallelForEach(0, 2, [&](std::int64_t part) {
        if (part == 0) {
            image = readImage(imagePath);
            requireFinite(image, imagePath);
        } else {
            const CaseLabels read = reader.read(labelPath, grid, imagePath);
            if (overlapping != nullptr) *overlapping = read.overlapping;
            labels = checkedLabels(read.map, labelPath, settings.classes);
        }
    });
    if (settings.spacing == 0 || hasSpacing(grid, settings.spacing)) return turnedVolume(image, labels);
    const Geometry target = isotropicGrid(grid, settings.spacing);
    return turnedVolume(resampleTo(image, target, Interpolation::Linear), resampleLabels(labels, target));
}

std::vector<PipelineCase> sam3dCases(const std::vector<ImageLabelPair>& pairs) {
    std::vector<PipelineCase> cases;
    for (const ImageLabelPair& pair : pairs)
        cases.push_back({pair.id + endingWithoutGz(pair.image), {pair.image, pair.label}});
    return cases;
}

CaseForm sam3dForm(const Sam3dSettings& settings, const fs::path& output, const LabelReader& reader) {
    checkSam3dSettings(settings);
    const fs::path place = fs::absolute(output).lexically_normal();
    CaseForm form;
    form.name = "sam3d";
    form.parameters = parametersOf(settings, reader, place);
    form.memory = [settings](const PipelineCase& item) { return memoryOf(item, settings); };
    form.process = [settings, reader, place](const PipelineCase& item, const fs::path& folder) {
        return writeCase(item, settings, reader, folder, place);
    };
    return form;
}

}  // namespace medseg
