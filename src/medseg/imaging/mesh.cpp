#include "medseg/imaging/mesh.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/vector_arithmetic.h"

namespace medseg {
namespace {

void requireVertices(const Mesh& mesh) {
    for (const auto& triangle : mesh.triangles)
        for (const auto vertex : triangle)
            if (vertex >= mesh.vertices.size())
                throw DataError(fmt::format("mesh: a triangle names vertex {} of {}", vertex, mesh.vertices.size()));
}

Vec3 vertexOf(const Mesh& mesh, std::uint32_t index) {
    const auto& v = mesh.vertices[index];
    return {v[0], v[1], v[2]};
}

}  // namespace

double meshArea(const Mesh& mesh) {
    requireVertices(mesh);
    double area = 0;
    for (const auto& t : mesh.triangles) {
        const Vec3 a = vertexOf(mesh, t[0]);
        const Vec3 normal = cross(minus(vertexOf(mesh, t[1]), a), minus(vertexOf(mesh, t[2]), a));
        area += std::sqrt(dot(normal, normal)) / 2;
    }
    return area;
}

double meshVolume(const Mesh& mesh) {
    requireVertices(mesh);
    if (mesh.vertices.empty()) return 0;
    // Tetrahedra from a point near the object: less cancellation than from the world's origin.
    const Vec3 origin = vertexOf(mesh, 0);
    double volume = 0;
    for (const auto& t : mesh.triangles)
        volume += dot(minus(vertexOf(mesh, t[0]), origin),
                      cross(minus(vertexOf(mesh, t[1]), origin), minus(vertexOf(mesh, t[2]), origin)));
    return volume / 6;
}

MeshTopology meshTopology(const Mesh& mesh) {
    requireVertices(mesh);
    // Each directed edge as (smaller vertex, larger vertex, direction), sorted: uses of an edge stand together.
    struct Use {
        std::uint64_t edge;
        int direction;
        bool operator<(const Use& other) const { return edge < other.edge; }
    };
    std::vector<Use> uses;
    uses.reserve(mesh.triangles.size() * 3);
    for (const auto& t : mesh.triangles)
        for (int i = 0; i < 3; ++i) {
            const std::uint64_t a = t[i], b = t[(i + 1) % 3];
            uses.push_back({std::min(a, b) << 32 | std::max(a, b), a < b ? 1 : -1});
        }
    std::sort(uses.begin(), uses.end());
    MeshTopology topology;
    for (std::size_t i = 0; i < uses.size();) {
        std::size_t end = i;
        int direction = 0;
        for (; end < uses.size() && uses[end].edge == uses[i].edge; ++end) direction += uses[end].direction;
        ++topology.edges;
        topology.boundaryEdges += end - i == 1;
        topology.nonManifoldEdges += end - i > 2;
        if (end - i == 2 && direction != 0) topology.consistentlyOriented = false;
        i = end;
    }
    topology.eulerCharacteristic = static_cast<std::int64_t>(mesh.vertices.size()) - topology.edges +
                                   static_cast<std::int64_t>(mesh.triangles.size());
    return topology;
}

MeshBounds meshBounds(const Mesh& mesh) {
    MeshBounds bounds;
    for (std::size_t i = 0; i < mesh.vertices.size(); ++i)
        for (int axis = 0; axis < 3; ++axis) {
            const double v = mesh.vertices[i][axis];
            bounds.low[axis] = i == 0 ? v : std::min(bounds.low[axis], v);
            bounds.high[axis] = i == 0 ? v : std::max(bounds.high[axis], v);
        }
    return bounds;
}

}  // namespace medseg
