// Measurements of triangle meshes.
#pragma once

#include <cstdint>

#include "medseg/volume/geometry.h"
#include "medseg/volume/mesh.h"

namespace medseg {

/// Sum of triangle areas, mm^2. All functions here throw DataError if a triangle names a vertex that does not exist.
double meshArea(const Mesh& mesh);
/// Signed volume inside, mm^3: positive when normals point outwards. Meaningful for closed meshes.
double meshVolume(const Mesh& mesh);

struct MeshTopology {
    std::int64_t edges = 0;
    std::int64_t boundaryEdges = 0;        ///< used by one triangle
    std::int64_t nonManifoldEdges = 0;     ///< used by more than two
    bool consistentlyOriented = true;      ///< every inner edge is used once in each direction
    std::int64_t eulerCharacteristic = 0;  ///< vertices - edges + triangles: 2 for each closed surface without handles

    bool isWatertight() const { return boundaryEdges == 0 && nonManifoldEdges == 0 && consistentlyOriented; }
};
MeshTopology meshTopology(const Mesh& mesh);

struct MeshBounds {
    Vec3 low{};
    Vec3 high{};
};
/// Smallest box around the vertices; {0, 0, 0} twice for a mesh without vertices.
MeshBounds meshBounds(const Mesh& mesh);

}  // namespace medseg
