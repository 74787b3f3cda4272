// Structures in 3D as one HTML file that needs no network: rotate, zoom, toggle, opacity, reference against prediction.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"
#include "medseg/volume/mesh.h"

namespace medseg {

struct SceneSurface {
    Label label;  ///< id, name and colour
    Mesh mesh;
    double millilitres = 0;  ///< voxels of the structure times their volume
};

/// Surfaces to show. Those of reference and prediction with the same name share one row of the list.
struct Scene {
    std::string title;
    std::string detail;
    std::vector<SceneSurface> reference;
    std::vector<SceneSurface> prediction;
};

struct SceneOptions {
    int smoothingPasses = 12;  ///< of smoothSurface(); 0: voxel steps show
    /// Meshes are coarsened by vertex clustering until the scene has at most this many triangles.
    std::size_t mostTriangles = 1'200'000;
};

/// Surfaces of all structures. Either map may be null, but not both. Throws DataError if no structure is left to show.
Scene makeScene(const LabelMap* reference, const LabelMap* prediction, const SceneOptions& options = {});

/// The page: viewer and meshes, positions in 16 bits along each axis of the scene's box (below 0.01 mm for a trunk).
/// Throws DataError for a scene without triangles.
std::string renderSceneHtml(const Scene& scene, const SceneOptions& options = {});

/// Writes atomically. Throws WorkError.
void writeSceneHtml(const std::filesystem::path& path, const Scene& scene, const SceneOptions& options = {});

}  // namespace medseg
