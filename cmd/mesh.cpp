// medseg mesh: surfaces and signed distances of the structures of a label map.
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/distance.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/mesh.h"
#include "medseg/imaging/mesh_decimation.h"
#include "medseg/imaging/mesh_smoothing.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"
#include "medseg/metrics/case_pairing.h"
#include "medseg/metrics/label_selection.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string labels, output, distances;
    std::vector<std::string> structures;
    std::string labelTable;
    int smoothing = 0;
    double smoothingMm = 0;
    double decimation = 1;
    bool json = false;
};

/// A label map as it is, or the masks of a folder, each with its file's name.
std::vector<LabelMap> readInput(const Options& options) {
    std::vector<LabelMap> maps;
    if (!std::filesystem::is_directory(options.labels)) {
        maps.push_back(readLabelMap(options.labels));
        if (!options.labelTable.empty()) maps.front().setTable(readLabelTable(options.labelTable));
        return maps;
    }
    for (const auto& [name, path] : structureMasks(options.labels)) {
        if (!options.structures.empty() &&
            std::find(options.structures.begin(), options.structures.end(), name) == options.structures.end())
            continue;
        LabelMap mask = readLabelMap(path);
        LabelTable table;
        table.add({1, name, labelColor(static_cast<int>(maps.size()) + 1)});
        mask.setTable(std::move(table));
        if (!maps.empty()) requireSameGeometry(maps.front().geometry(), options.labels, mask.geometry(), path.string());
        maps.push_back(std::move(mask));
    }
    if (maps.empty()) throw UsageError(fmt::format("{}: none of the masks is one of --label", options.labels));
    return maps;
}

/// The ids to take from a map; all if none were named.
std::vector<int> chosenIds(const Options& options, const LabelMap& map) {
    std::vector<int> ids;
    if (options.structures.empty() || std::filesystem::is_directory(options.labels)) return ids;
    const LabelTable selected = selectLabels(options.structures, map.table());
    const std::vector<std::int64_t> voxels = map.countVoxels();
    for (const Label& label : selected.labels()) {
        if (static_cast<std::size_t>(label.id) >= voxels.size() || voxels[label.id] == 0)
            throw DataError(options.labels, fmt::format("no voxel has label {} ({})", label.id, label.name));
        ids.push_back(label.id);
    }
    return ids;
}

std::vector<LabelMesh> surfaces(const Options& options, const std::vector<LabelMap>& maps) {
    std::vector<LabelMesh> meshes;
    for (const LabelMap& map : maps) {
        LabelSurfaceOptions surface;
        surface.smoothingMm = options.smoothingMm;
        for (LabelMesh& mesh : extractLabelSurfaces(map, surface, chosenIds(options, map)))
            if (!mesh.mesh.empty()) meshes.push_back(std::move(mesh));
    }
    if (meshes.empty()) throw DataError(options.labels, "no structure has a surface: all voxels are background");
    parallelForEach(0, static_cast<std::int64_t>(meshes.size()), [&](std::int64_t i) {
        Mesh& mesh = meshes[i].mesh;
        if (options.smoothing > 0) smoothTaubin(mesh, options.smoothing);
        if (options.decimation < 1)
            decimate(mesh, {.targetTriangles = static_cast<std::size_t>(
                                std::ceil(options.decimation * static_cast<double>(mesh.triangles.size())))});
    });
    return meshes;
}

/// Distance to the surface of all chosen structures together.
void writeDistances(const Options& options, const std::vector<LabelMap>& maps) {
    Volume<std::uint8_t> mask(maps.front().geometry(), 0);
    for (const LabelMap& map : maps) {
        const std::vector<int> ids = chosenIds(options, map);
        std::vector<bool> isChosen(65536, ids.empty());
        isChosen[0] = false;
        for (const int id : ids) isChosen[id] = true;
        map.visit([&](const auto& volume) {
            for (std::int64_t i = 0; i < volume.voxelCount(); ++i)
                if (isChosen[volume.data()[i]]) mask.data()[i] = 1;
        });
    }
    writeImage(options.distances, AnyVolume(signedDistance<float>(mask)));
    logInfo("signed distance, mm: {}", options.distances);
}

void print(const Options& options, const std::vector<LabelMesh>& meshes) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const LabelMesh& one : meshes) {
        const double area = meshArea(one.mesh);
        const double volume = meshVolume(one.mesh) / 1000;
        const bool closed = meshTopology(one.mesh).isWatertight();
        list.push_back({{"label", one.label.id},
                        {"structure", one.label.name},
                        {"vertices", one.mesh.vertices.size()},
                        {"triangles", one.mesh.triangles.size()},
                        {"area_mm2", area},
                        {"volume_ml", volume},
                        {"watertight", closed}});
        if (!options.json)
            fmt::print("{:<32} {:>9} vertices {:>9} triangles {:>11.1f} mm2 {:>10.2f} ml{}\n", one.label.name,
                       one.mesh.vertices.size(), one.mesh.triangles.size(), area, volume, closed ? "" : "  open");
    }
    if (options.json)
        fmt::print("{}\n", nlohmann::ordered_json{{"path", options.output}, {"structures", list}}.dump(1));
}

int run(const Options& options) {
    if (!isMeshName(options.output))
        throw UsageError(fmt::format("{}: unknown mesh format: use .obj, .ply or .stl", options.output));
    if (!(options.decimation > 0 && options.decimation <= 1))
        throw UsageError(
            fmt::format("--decimate {}: the share of triangles to keep lies above 0 and up to 1", options.decimation));
    const std::vector<LabelMap> maps = readInput(options);
    const std::vector<LabelMesh> meshes = surfaces(options, maps);
    writeMeshes(options.output, meshes);
    if (!options.distances.empty()) writeDistances(options, maps);
    print(options, meshes);
    return static_cast<int>(ExitCode::Done);
}

std::function<int()> declareMesh(CLI::App& app) {
    auto options = std::make_shared<Options>();
    app.add_option("labels", options->labels, "Label map, or a folder with one mask a structure")
        ->required()
        ->type_name("LABELS");
    app.add_option("output", options->output, "Mesh file: .obj (with materials), .ply, .stl")
        ->required()
        ->type_name("OUT");
    app.add_option("--label", options->structures, "Structures, by name or id (default: all)")
        ->delimiter(',')
        ->type_name("NAME|ID,...");
    app.add_option("--label-table", options->labelTable, "Names of the ids, where the file has none (JSON or text)")
        ->type_name("FILE");
    app.add_option("--smooth", options->smoothing, "Steps of smoothing that keep the volume (Taubin)")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    app.add_option("--smooth-mask", options->smoothingMm, "Gaussian over each mask before its surface is taken")
        ->check(CLI::NonNegativeNumber)
        ->type_name("MM");
    app.add_option("--decimate", options->decimation, "Share of the triangles to keep, 0..1")->type_name("SHARE");
    app.add_option("--sdf", options->distances,
                   "Also write the signed distance to all chosen structures together, mm, negative inside")
        ->type_name("IMAGE");
    app.add_flag("--json", options->json, "Print the structures as one JSON object");
    app.footer(
        "\nVertices are in RAS+ mm, normals point outwards; objects that reach the border of the volume are closed.\n"
        "Example: medseg mesh labels.nii.gz organs.obj --label liver,spleen --smooth 20 --decimate 0.2");
    return [options] { return run(*options); };
}

}  // namespace

MEDSEG_COMMAND(mesh, "Surfaces of structures as OBJ, PLY or STL; signed distance fields", declareMesh);

}  // namespace medseg::cli
