#include "medseg/report/scene_html.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/version.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/mesh.h"
#include "medseg/report/html.h"
#include "medseg/report/mesh_display.h"
#include "medseg/report/overlay_sheet.h"
#include "medseg/report/raster.h"
#include "medseg/report/scene_html_assets.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kFirstCell = 0.75;
constexpr double kCellGrowth = 1.4;
constexpr double kCubicMillimetresPerMillilitre = 1000;

/// Box around all vertices of the scene.
MeshBounds boundsOf(const Scene& scene) {
    MeshBounds bounds;
    bool first = true;
    for (const auto* meshes : {&scene.reference, &scene.prediction})
        for (const SceneSurface& item : *meshes)
            for (const auto& vertex : item.mesh.vertices) {
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    bounds.low[axis] = first ? vertex[axis] : std::min<double>(bounds.low[axis], vertex[axis]);
                    bounds.high[axis] = first ? vertex[axis] : std::max<double>(bounds.high[axis], vertex[axis]);
                }
                first = false;
            }
    return bounds;
}

std::size_t triangleCount(const std::vector<SceneSurface>& meshes) {
    std::size_t count = 0;
    for (const SceneSurface& item : meshes) count += item.mesh.triangles.size();
    return count;
}

std::vector<SceneSurface> coarsened(const std::vector<SceneSurface>& meshes, double cellMm) {
    std::vector<SceneSurface> coarse;
    for (const SceneSurface& item : meshes) {
        Mesh mesh = clusterVertices(item.mesh, cellMm);
        // A structure that is smaller than a cell stays as it is: it costs little and must not vanish.
        coarse.push_back({item.label, mesh.triangles.size() < 8 ? item.mesh : std::move(mesh), item.millilitres});
    }
    return coarse;
}

template <typename T>
void appendNumbers(std::vector<std::uint8_t>& bytes, const std::vector<T>& numbers) {
    const std::size_t start = bytes.size();
    bytes.resize(start + numbers.size() * sizeof(T));
    std::memcpy(bytes.data() + start, numbers.data(), numbers.size() * sizeof(T));
    bytes.resize((bytes.size() + 3) / 4 * 4);  // typed arrays need aligned offsets
}

std::vector<std::uint16_t> quantised(const Mesh& mesh, const MeshBounds& bounds) {
    std::vector<std::uint16_t> positions;
    positions.reserve(mesh.vertices.size() * 3);
    for (const auto& vertex : mesh.vertices)
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const double extent = std::max(bounds.high[axis] - bounds.low[axis], 1e-6);
            positions.push_back(
                static_cast<std::uint16_t>(std::lround((vertex[axis] - bounds.low[axis]) / extent * 65535)));
        }
    return positions;
}

/// Appends a mesh's arrays to `bytes` and describes where they are.
Json packMesh(const SceneSurface& item, const char* group, const MeshBounds& bounds, std::vector<std::uint8_t>& bytes) {
    Json entry{{"name", item.label.name}, {"group", group}, {"color", item.label.color}, {"ml", item.millilitres}};
    entry["vertices"] = item.mesh.vertices.size();
    entry["triangles"] = item.mesh.triangles.size();
    entry["positionOffset"] = bytes.size();
    appendNumbers(bytes, quantised(item.mesh, bounds));
    entry["indexOffset"] = bytes.size();
    const bool small = item.mesh.vertices.size() <= 65536;
    entry["indexBytes"] = small ? 2 : 4;
    std::vector<std::uint16_t> shortIndices;
    std::vector<std::uint32_t> indices;
    for (const auto& triangle : item.mesh.triangles)
        for (const std::uint32_t index : triangle)
            small ? shortIndices.push_back(static_cast<std::uint16_t>(index)) : indices.push_back(index);
    small ? appendNumbers(bytes, shortIndices) : appendNumbers(bytes, indices);
    return entry;
}

}  // namespace

Scene makeScene(const LabelMap* reference, const LabelMap* prediction, const SceneOptions& options) {
    OverlayCase both;
    both.reference = reference;
    both.prediction = prediction;
    const sheet::StructureColors colors(both);
    Scene scene;
    const auto surfaces = [&](const LabelMap* labels) {
        std::vector<SceneSurface> found;
        if (labels == nullptr) return found;
        const std::vector<std::int64_t> counts = labels->countVoxels();
        const double millilitresPerVoxel = labels->geometry().voxelVolume() / kCubicMillimetresPerMillilitre;
        for (LabelMesh& item : extractLabelSurfaces(*labels)) {
            if (item.mesh.empty()) continue;
            const int id = item.label.id;
            const Label label{id, labels->table().nameOf(id), colors.of(labels->table(), id)};
            found.push_back({label, smoothSurface(item.mesh, options.smoothingPasses),
                             static_cast<double>(counts[static_cast<std::size_t>(id)]) * millilitresPerVoxel});
        }
        return found;
    };
    scene.reference = surfaces(reference);
    scene.prediction = surfaces(prediction);
    if (scene.reference.empty() && scene.prediction.empty())
        throw DataError("no structure to show: the label maps are empty (or hold none of the wanted structures)");
    return scene;
}

std::string renderSceneHtml(const Scene& scene, const SceneOptions& options) {
    if (triangleCount(scene.reference) + triangleCount(scene.prediction) == 0)
        throw DataError(fmt::format("scene \"{}\" has no triangles to show", scene.title));
    Scene shown = scene;
    for (double cell = kFirstCell;
         triangleCount(shown.reference) + triangleCount(shown.prediction) > options.mostTriangles && cell < 100;
         cell *= kCellGrowth) {
        shown.reference = coarsened(scene.reference, cell);
        shown.prediction = coarsened(scene.prediction, cell);
    }
    const MeshBounds bounds = boundsOf(shown);
    std::vector<std::uint8_t> bytes;
    Json meshes = Json::array();
    const auto pack = [&](const std::vector<SceneSurface>& surfaces, const char* group) {
        for (const SceneSurface& surface : surfaces) meshes.push_back(packMesh(surface, group, bounds, bytes));
    };
    pack(shown.reference, "reference");
    pack(shown.prediction, "prediction");
    const Json description{{"low", bounds.low}, {"high", bounds.high}, {"meshes", std::move(meshes)}};
    const std::string body = fmt::format(
        "{}<script type=\"application/json\" id=\"scene\">{}</script>\n<script type=\"text/plain\" "
        "id=\"data\">{}</script>",
        fmt::format(fmt::runtime(html::kSceneBody), fmt::arg("title", html::escape(scene.title)),
                    fmt::arg("detail", html::escape(scene.detail)), fmt::arg("version", version())),
        html::scriptJson(description), encodeBase64(bytes));
    return html::page(scene.title, html::kSceneStyle, body, std::string(html::kSceneShaders) + html::kSceneScript);
}

void writeSceneHtml(const std::filesystem::path& path, const Scene& scene, const SceneOptions& options) {
    writeTextFile(path, renderSceneHtml(scene, options));
}

}  // namespace medseg
