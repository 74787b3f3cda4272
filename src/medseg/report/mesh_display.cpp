#include "medseg/report/mesh_display.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr double kSmoothingStep = 0.5;
constexpr double kExpandingStep = -0.53;
constexpr std::int64_t kVerticesPerTask = 1 << 14;

/// Neighbours of each vertex, one list behind the other; an edge of two triangles counts twice, which only weights it.
struct Neighbours {
    std::vector<std::uint32_t> start;  ///< of vertex v: list[start[v]] to list[start[v + 1]]
    std::vector<std::uint32_t> list;

    explicit Neighbours(const Mesh& mesh) : start(mesh.vertices.size() + 1, 0), list(mesh.triangles.size() * 6) {
        for (const auto& triangle : mesh.triangles)
            for (const std::uint32_t vertex : triangle) start.at(vertex + 1) += 2;
        for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
        std::vector<std::uint32_t> next(start.begin(), start.end() - 1);
        for (const auto& triangle : mesh.triangles)
            for (std::size_t corner = 0; corner < 3; ++corner) {
                list[next[triangle[corner]]++] = triangle[(corner + 1) % 3];
                list[next[triangle[corner]]++] = triangle[(corner + 2) % 3];
            }
    }
};

void relax(const std::vector<std::array<float, 3>>& from, const Neighbours& neighbours, double step,
           std::vector<std::array<float, 3>>& to) {
    parallelFor(0, static_cast<std::int64_t>(from.size()), kVerticesPerTask,
                [&](std::int64_t first, std::int64_t last) {
                    for (auto v = static_cast<std::size_t>(first); v < static_cast<std::size_t>(last); ++v) {
                        to[v] = from[v];
                        const std::uint32_t begin = neighbours.start[v], end = neighbours.start[v + 1];
                        if (begin == end) continue;
                        std::array<double, 3> sum{};
                        for (std::uint32_t i = begin; i < end; ++i)
                            for (std::size_t axis = 0; axis < 3; ++axis) sum[axis] += from[neighbours.list[i]][axis];
                        for (std::size_t axis = 0; axis < 3; ++axis)
                            to[v][axis] =
                                static_cast<float>(from[v][axis] + step * (sum[axis] / (end - begin) - from[v][axis]));
                    }
                });
}

}  // namespace

Mesh clusterVertices(const Mesh& mesh, double cellMm) {
    struct Cluster {
        std::array<double, 3> sum{};
        double count = 0;
    };
    struct CellHash {
        std::size_t operator()(const std::array<std::int32_t, 3>& cell) const {
            std::uint64_t hash = 0;
            for (const std::int32_t part : cell)
                hash = (hash ^ static_cast<std::uint32_t>(part)) * 0x9E3779B97F4A7C15ULL;
            return static_cast<std::size_t>(hash ^ hash >> 32);
        }
    };
    std::unordered_map<std::array<std::int32_t, 3>, std::uint32_t, CellHash> cells;
    std::vector<Cluster> clusters;
    std::vector<std::uint32_t> clusterOf;
    clusterOf.reserve(mesh.vertices.size());
    for (const auto& vertex : mesh.vertices) {
        std::array<std::int32_t, 3> cell{};
        for (std::size_t axis = 0; axis < 3; ++axis)
            cell[axis] = static_cast<std::int32_t>(std::floor(vertex[axis] / cellMm));
        const auto [place, isNew] = cells.try_emplace(cell, static_cast<std::uint32_t>(clusters.size()));
        if (isNew) clusters.emplace_back();
        Cluster& cluster = clusters[place->second];
        for (std::size_t axis = 0; axis < 3; ++axis) cluster.sum[axis] += vertex[axis];
        ++cluster.count;
        clusterOf.push_back(place->second);
    }
    Mesh coarse;
    for (const Cluster& cluster : clusters)
        coarse.vertices.push_back({static_cast<float>(cluster.sum[0] / cluster.count),
                                   static_cast<float>(cluster.sum[1] / cluster.count),
                                   static_cast<float>(cluster.sum[2] / cluster.count)});
    for (const auto& triangle : mesh.triangles) {
        const std::array<std::uint32_t, 3> merged{clusterOf.at(triangle[0]), clusterOf.at(triangle[1]),
                                                  clusterOf.at(triangle[2])};
        if (merged[0] != merged[1] && merged[1] != merged[2] && merged[0] != merged[2])
            coarse.triangles.push_back(merged);
    }
    return coarse;
}

Mesh smoothSurface(const Mesh& mesh, int passes) {
    Mesh smooth = mesh;
    if (passes <= 0 || mesh.triangles.empty()) return smooth;
    const Neighbours neighbours(mesh);
    std::vector<std::array<float, 3>> other(mesh.vertices.size());
    for (int pass = 0; pass < passes; ++pass) {
        relax(smooth.vertices, neighbours, kSmoothingStep, other);
        relax(other, neighbours, kExpandingStep, smooth.vertices);
    }
    return smooth;
}

}  // namespace medseg
