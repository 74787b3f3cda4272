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
#include "medseg/dataset/npy_stream.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/resample.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"

namespace medseg {
namespace {

constexpr std::int64_t kPreviewTiles = 6;
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

Volume<std::uint8_t> readLabels(const fs::path& path, int classes) {
    const LabelMap labels = readLabelMap(path);
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

/// Evenly spaced slices across the last of the axes.
CasePreview previewOf(const Sam3dVolume& volume, const std::vector<SlicePlace>& places) {
    CasePreview preview;
    std::vector<SlicePlace> candidates;
    for (const SlicePlace& place : places)
        if (place.axis == places.back().axis) candidates.push_back(place);
    const auto count = static_cast<std::int64_t>(candidates.size());
    const auto [low, high] = std::minmax_element(volume.image.voxels().begin(), volume.image.voxels().end());
    const float offset = *low, scale = *high > *low ? 255.0F / (*high - *low) : 0.0F;
    for (std::int64_t tile = 0; tile < std::min(count, kPreviewTiles); ++tile) {
        const SlicePlace& place = candidates[static_cast<std::size_t>(tile * count / std::min(count, kPreviewTiles))];
        const Sam3dSlice slice = sam3dSlice(volume, place.axis, place.index, PointmapRule::Exact);
        preview.width = slice.width;
        preview.height = slice.height;
        for (const float value : slice.image)
            preview.gray.push_back(static_cast<std::uint8_t>((value - offset) * scale));
        preview.labels.insert(preview.labels.end(), slice.mask.begin(), slice.mask.end());
    }
    return preview;
}

CaseSummary writeCase(const PipelineCase& item, const Sam3dSettings& settings, const fs::path& folder,
                      const fs::path& output) {
    const Sam3dVolume volume = readSam3dVolume(item.inputs.at(0), item.inputs.at(1), settings);
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
    const Index3 size = volume.size();
    summary.values["size"] = size;
    summary.values["slices"] = places.size();
    summary.values["voxels"] = std::vector<std::int64_t>(counts.begin(), counts.begin() + settings.classes + 1);
    if (settings.meshes) summary.values["meshes"] = writeSurfaces(folder / "meshes", item.id, volume, counts, settings);
    std::vector<int> absent;
    for (int label = 1; label <= settings.classes; ++label)
        if (counts[static_cast<std::size_t>(label)] == 0) absent.push_back(label);
    if (places.empty())
        summary.warning = fmt::format("{}: no slice reaches {} of foreground", item.id, settings.minForeground);
    else
        summary.preview = previewOf(volume, places);
    if (!absent.empty())
        summary.warning +=
            fmt::format("{}{}: label {} does not occur: its distance is {} everywhere",
                        summary.warning.empty() ? "" : "; ", item.id, fmt::join(absent, ", "), kSam3dNoSurface);
    return summary;
}

nlohmann::ordered_json parametersOf(const Sam3dSettings& settings, const fs::path& output) {
    return {{"classes", settings.classes},
            {"spacing", settings.spacing},
            {"axes", settings.axes},
            {"min_foreground", settings.minForeground},
            {"meshes", settings.meshes},
            {"min_mesh_voxels", settings.minMeshVoxels},
            {"close_surfaces", settings.closeSurfaces},
            {"distance_unit", settings.distanceUnit == DistanceUnit::Voxel ? "voxel" : "mm"},
            {"legacy_pointmap", settings.pointmap == PointmapRule::Legacy},
            {"output", output.string()}};
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

std::vector<fs::path> sortedFiles(const fs::path& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        files.push_back(it->path());
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    std::sort(files.begin(), files.end());
    return files;
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

Sam3dVolume readSam3dVolume(const fs::path& imagePath, const fs::path& labelPath, const Sam3dSettings& settings) {
    const Geometry grid = readImageHeader(imagePath).geometry;
    requireSameGeometry(grid, imagePath.string(), readImageHeader(labelPath).geometry, labelPath.string());
    Volume<float> image;
    Volume<std::uint8_t> labels;
    parallelForEach(0, 2, [&](std::int64_t part) {
        if (part == 0) {
            image = readImage(imagePath);
            requireFinite(image, imagePath);
        } else {
            labels = readLabels(labelPath, settings.classes);
        }
    });
    if (settings.spacing == 0 || hasSpacing(grid, settings.spacing)) return turnedVolume(image, labels);
    const Geometry target = isotropicGrid(grid, settings.spacing);
    return turnedVolume(resampleTo(image, target, Interpolation::Linear), resampleLabels(labels, target));
}

std::vector<PipelineCase> findSam3dCases(const fs::path& root, std::vector<CaseFailure>& problems) {
    constexpr std::string_view kMark = "-image";
    std::vector<PipelineCase> cases;
    const auto search = [&](const fs::path& folder) {
        for (const fs::path& file : sortedFiles(folder)) {
            const std::string stem = imageStem(file), name = file.filename().string();
            if (!isImageName(file) || !stem.ends_with(kMark) || name.starts_with('.')) continue;
            const std::string start = stem.substr(0, stem.size() - kMark.size()), ending = name.substr(stem.size());
            const fs::path label = folder / (start + "-label" + ending);
            std::string id = start + ending;
            if (endsWithIgnoringCase(id, ".gz")) id.resize(id.size() - 3);
            if (fs::exists(label))
                cases.push_back({id, {file, label}});
            else
                problems.push_back({id, fmt::format("{}: has no label {}", file.string(), label.filename().string())});
        }
    };
    search(root);
    for (const fs::path& entry : sortedFiles(root))
        if (fs::is_directory(entry) && !entry.filename().string().starts_with('.')) search(entry);
    if (cases.empty())
        throw DataError(root.string(),
                        "holds no cases: looked for *-image.nii.gz with *-label.nii.gz, here and one "
                        "folder down");
    std::sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return cases;
}

std::vector<PipelineCase> sam3dCases(const std::vector<ImageLabelPair>& pairs) {
    std::vector<PipelineCase> cases;
    for (const ImageLabelPair& pair : pairs) cases.push_back({pair.id + ".nii", {pair.image, pair.label}});
    return cases;
}

CaseForm sam3dForm(const Sam3dSettings& settings, const fs::path& output) {
    checkSam3dSettings(settings);
    const fs::path place = fs::absolute(output).lexically_normal();
    CaseForm form;
    form.name = "sam3d";
    form.parameters = parametersOf(settings, place);
    form.memory = [settings](const PipelineCase& item) { return memoryOf(item, settings); };
    form.process = [settings, place](const PipelineCase& item, const fs::path& folder) {
        return writeCase(item, settings, folder, place);
    };
    return form;
}

}  // namespace medseg
