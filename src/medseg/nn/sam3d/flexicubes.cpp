#include "medseg/nn/sam3d/flexicubes.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "medseg/nn/sam3d/dual_cube_table.h"

namespace medseg {
namespace {

using torch::Tensor;

constexpr double kWeightScale = 0.99;
constexpr double kCentreEpsilon = 1e-8;
constexpr std::int64_t kCoordinateSide = 1 << 20;

Tensor indexTensor(const std::vector<std::int64_t>& values) {
    return torch::tensor(values, torch::kLong);
}

/// Cubes with corners on both sides.
struct SurfaceCubes {
    Tensor rows;             ///< (s) int64 into the grid's cubes
    Tensor corners;          ///< (s, 8) int64 on the CPU
    std::vector<int> cases;  ///< after the swap of ambiguous neighbours
};

SurfaceCubes surfaceCubes(const FlexiCubesGrid& grid) {
    const auto inside = grid.distance.detach().lt(0).to(torch::kCPU);
    const auto cubes = grid.cubes.to(torch::kCPU);
    const auto corners = inside.index_select(0, cubes.flatten()).reshape({-1, 8}).to(torch::kLong);
    const auto count = corners.sum(1);
    SurfaceCubes surface;
    surface.rows = (count.gt(0) & count.lt(8)).nonzero().flatten();
    surface.corners = cubes.index_select(0, surface.rows).contiguous();
    const auto bits = torch::pow(2, torch::arange(8, torch::kLong));
    const auto numbers = (corners.index_select(0, surface.rows) * bits).sum(1).contiguous();
    const auto places = grid.coordinates.to(torch::kCPU).index_select(0, surface.rows).contiguous();
    const auto* number = numbers.data_ptr<std::int64_t>();
    const auto* place = places.data_ptr<std::int64_t>();
    const std::int64_t size = surface.rows.size(0);
    const auto keyOf = [](std::int64_t x, std::int64_t y, std::int64_t z) {
        return ((x + 1) * kCoordinateSide + (y + 1)) * kCoordinateSide + (z + 1);
    };
    std::vector<std::int64_t> keys;
    for (std::int64_t i = 0; i < size; ++i) keys.push_back(keyOf(place[3 * i], place[3 * i + 1], place[3 * i + 2]));
    const auto& table = dualCubeTable();
    const auto caseOf = [&](std::int64_t i) -> const DualCubeCase& {
        return table[static_cast<std::size_t>(number[i])];
    };
    for (std::int64_t i = 0; i < size; ++i) {
        int chosen = static_cast<int>(number[i]);
        if (const DualCubeCase& own = caseOf(i); own.ambiguous) {
            const std::int64_t wanted =
                keyOf(place[3 * i] + own.face[0], place[3 * i + 1] + own.face[1], place[3 * i + 2] + own.face[2]);
            const auto found = std::lower_bound(keys.begin(), keys.end(), wanted);
            if (found != keys.end() && *found == wanted && caseOf(found - keys.begin()).ambiguous)
                chosen = 255 - chosen;
        }
        surface.cases.push_back(chosen);
    }
    return surface;
}

/// Who meets where: an entry is a crossed edge of a dual vertex.
struct DualTopology {
    Tensor edges;        ///< (e, 2) int64 corner rows of the crossed edges
    Tensor entryEdge;    ///< (entries) into edges
    Tensor entrySlot;    ///< (entries) 12 cube + edge of the cube
    Tensor entryVertex;  ///< (entries) dual vertex
    Tensor vertexCube;   ///< (v) surface cube
    Tensor vertexEdges;  ///< (v) int64: entries of each
    Tensor quads;        ///< (q, 4) dual vertices, facing outward
    std::int64_t vertices = 0;
};

/// Quads around the edges that four cubes share: first those whose first end is outside.
Tensor quadsAround(const Tensor& edges, const Tensor& slotEdge, const std::vector<std::int64_t>& slotVertex,
                   const Tensor& distance) {
    const auto* edgeOf = slotEdge.data_ptr<std::int64_t>();
    std::vector<std::vector<std::int64_t>> around(static_cast<std::size_t>(edges.size(0)));
    for (std::size_t slot = 0; slot < slotVertex.size(); ++slot)
        if (edgeOf[slot] >= 0) around[static_cast<std::size_t>(edgeOf[slot])].push_back(slotVertex[slot]);
    const auto firstInside = distance.detach().to(torch::kCPU).index_select(0, edges.select(1, 0)).lt(0).contiguous();
    const bool* inside = firstInside.data_ptr<bool>();
    std::vector<std::int64_t> quads;
    for (const bool wanted : {false, true}) {
        constexpr std::array<std::array<std::size_t, 4>, 2> order{{{0, 1, 3, 2}, {2, 3, 1, 0}}};
        for (std::size_t edge = 0; edge < around.size(); ++edge)
            if (around[edge].size() == 4 && inside[edge] == wanted)
                for (const std::size_t corner : order[wanted ? 1 : 0]) quads.push_back(around[edge][corner]);
    }
    return indexTensor(quads).reshape({-1, 4});
}

DualTopology dualTopology(const SurfaceCubes& surface, const FlexiCubesGrid& grid) {
    const auto& table = dualCubeTable();
    const auto size = static_cast<std::int64_t>(surface.cases.size());
    const auto* corner = surface.corners.data_ptr<std::int64_t>();
    const std::int64_t corners = grid.distance.size(0);
    // Crossed edges by number of (first corner, second corner).
    std::vector<std::int64_t> crossedKeys, crossedSlots;
    const auto inside = grid.distance.detach().lt(0).to(torch::kCPU).contiguous();
    const bool* isInside = inside.data_ptr<bool>();
    for (std::int64_t cube = 0; cube < size; ++cube)
        for (std::size_t edge = 0; edge < 12; ++edge) {
            const std::int64_t a = corner[8 * cube + kCubeEdges[edge][0]], b = corner[8 * cube + kCubeEdges[edge][1]];
            if (isInside[a] == isInside[b]) continue;
            crossedKeys.push_back(a * corners + b);
            crossedSlots.push_back(12 * cube + static_cast<std::int64_t>(edge));
        }
    const auto [keys, number, unused] = at::_unique2(indexTensor(crossedKeys), true, true, false);
    DualTopology topology;
    topology.edges = torch::stack({torch::div(keys, corners, "floor"), keys.remainder(corners)}, 1);
    const Tensor slotEdge = torch::full({12 * size}, -1, torch::kLong);
    slotEdge.index_put_({indexTensor(crossedSlots)}, number);
    const auto* edgeOfSlot = slotEdge.data_ptr<std::int64_t>();

    std::vector<std::int64_t> slotVertex(static_cast<std::size_t>(12 * size), -1);
    std::vector<std::int64_t> entryEdge, entrySlot, entryVertex, vertexCube, vertexEdges;
    for (std::size_t count = 1; count <= 4; ++count)
        for (std::int64_t cube = 0; cube < size; ++cube) {
            const auto& loops = table[static_cast<std::size_t>(surface.cases[static_cast<std::size_t>(cube)])].vertices;
            if (loops.size() != count) continue;
            for (const std::vector<int>& loop : loops) {
                const auto vertex = static_cast<std::int64_t>(vertexCube.size());
                vertexCube.push_back(cube);
                vertexEdges.push_back(static_cast<std::int64_t>(loop.size()));
                for (const int edge : loop) {
                    const std::int64_t slot = 12 * cube + edge;
                    entryEdge.push_back(edgeOfSlot[slot]);
                    entrySlot.push_back(slot);
                    entryVertex.push_back(vertex);
                    slotVertex[static_cast<std::size_t>(slot)] = vertex;
                }
            }
        }
    topology.vertices = static_cast<std::int64_t>(vertexCube.size());
    topology.entryEdge = indexTensor(entryEdge);
    topology.entrySlot = indexTensor(entrySlot);
    topology.entryVertex = indexTensor(entryVertex);
    topology.vertexCube = indexTensor(vertexCube);
    topology.vertexEdges = indexTensor(vertexEdges);
    topology.quads = quadsAround(topology.edges, slotEdge, slotVertex, grid.distance);
    return topology;
}

/// Where the line between two values meets zero: values (n, 2, c) weighted by w (n, 2).
Tensor crossing(const Tensor& values, const Tensor& w) {
    const auto w0 = w.select(1, 0).unsqueeze(1), w1 = w.select(1, 1).unsqueeze(1);
    return (values.select(1, 0) * w1 - values.select(1, 1) * w0) / (w1 - w0);
}

/// The dual vertices and what they carry.
struct DualVertices {
    Tensor positions, attributes, gamma, deviation;
};

DualVertices dualVertices(const FlexiCubesGrid& grid, const SurfaceCubes& surface, const DualTopology& topology) {
    const auto device = grid.distance.device();
    const auto on = [&](const Tensor& index) { return index.to(device); };
    const auto options = grid.distance.options().requires_grad(false);
    const Tensor rows = on(surface.rows), slots = on(topology.entrySlot), owners = on(topology.entryVertex);
    const Tensor ends = on(topology.edges.index_select(0, topology.entryEdge)).flatten();
    const auto atEnds = [&](const Tensor& values) {
        return values.index_select(0, ends).reshape({-1, 2, values.size(1)});
    };
    const auto positive = [&](const Tensor& raw) { return kWeightScale * torch::tanh(raw) + 1; };
    const auto places = atEnds(grid.positions);
    const auto s = grid.distance.index_select(0, ends).reshape({-1, 2});
    Tensor w = s;
    if (grid.alpha.defined()) {
        std::vector<std::int64_t> cornerSlots;
        const auto* slot = topology.entrySlot.data_ptr<std::int64_t>();
        for (std::int64_t i = 0; i < topology.entrySlot.size(0); ++i)
            for (const int corner : kCubeEdges[static_cast<std::size_t>(slot[i] % 12)])
                cornerSlots.push_back(slot[i] / 12 * 8 + corner);
        const auto alpha = positive(grid.alpha.index_select(0, rows)).flatten();
        w = s * alpha.index_select(0, on(indexTensor(cornerSlots))).reshape({-1, 2});
    }
    const Tensor beta = grid.beta.defined()
                            ? positive(grid.beta.index_select(0, rows)).flatten().index_select(0, slots).unsqueeze(1)
                            : torch::ones({slots.size(0), 1}, options);
    const auto summed = [&](const Tensor& values) {
        return torch::zeros({topology.vertices, values.size(1)}, options).index_add(0, owners, values);
    };
    const Tensor total = summed(beta);
    DualVertices result;
    result.positions = summed(crossing(places, w) * beta) / total;
    if (grid.attributes.defined())
        result.attributes = summed(crossing(atEnds(torch::sigmoid(grid.attributes)), w) * beta) / total;
    const auto perCube = grid.gamma.defined()
                             ? kWeightScale * torch::sigmoid(grid.gamma.index_select(0, rows)) + (1 - kWeightScale) / 2
                             : torch::ones({rows.size(0)}, options);
    result.gamma = perCube.index_select(0, on(topology.vertexCube));
    const auto distance = (crossing(places, s) - result.positions.index_select(0, owners)).norm(2, 1).unsqueeze(1);
    const auto mean = summed(distance) / on(topology.vertexEdges).unsqueeze(1);
    result.deviation = (distance - mean.index_select(0, owners)).abs().squeeze(1);
    return result;
}

/// Two triangles a quad, along the diagonal whose vertices have the larger product of gammas.
Tensor splitQuads(const Tensor& quads, const Tensor& first, const Tensor& second) {
    const auto along = torch::tensor({0, 1, 2, 0, 2, 3}, torch::kLong).to(quads.device());
    const auto across = torch::tensor({0, 1, 3, 3, 1, 2}, torch::kLong).to(quads.device());
    const auto takesFirst = first.gt(second).unsqueeze(1);
    return torch::where(takesFirst, quads.index_select(1, along), quads.index_select(1, across)).reshape({-1, 3});
}

}  // namespace

FlexiCubesMesh flexiCubes(const FlexiCubesGrid& grid, bool training) {
    const auto options = grid.distance.options().requires_grad(false);
    FlexiCubesMesh mesh;
    const SurfaceCubes surface = surfaceCubes(grid);
    if (surface.cases.empty()) {
        mesh.vertices = torch::zeros({0, 3}, options);
        mesh.faces = torch::zeros({0, 3}, options.dtype(torch::kLong));
        mesh.deviation = torch::zeros({0}, options);
        if (grid.attributes.defined()) mesh.attributes = torch::zeros({0, grid.attributes.size(1)}, options);
        return mesh;
    }
    const DualTopology topology = dualTopology(surface, grid);
    const DualVertices dual = dualVertices(grid, surface, topology);
    const Tensor quads = topology.quads.to(grid.distance.device());
    const auto gamma = dual.gamma.index_select(0, quads.flatten()).reshape({-1, 4});
    const auto first = gamma.select(1, 0) * gamma.select(1, 2), second = gamma.select(1, 1) * gamma.select(1, 3);
    mesh.vertices = dual.positions;
    mesh.attributes = dual.attributes;
    mesh.deviation = dual.deviation;
    if (!training) {
        mesh.faces = splitQuads(quads, first.detach(), second.detach());
        return mesh;
    }
    const auto weights = [](const Tensor& w) { return w.unsqueeze(1); };
    const auto withCentres = [&](const Tensor& values) {
        const auto corners = values.index_select(0, quads.flatten()).reshape({-1, 4, values.size(1)});
        const auto middle = [&](std::int64_t a, std::int64_t b) {
            return (corners.select(1, a) + corners.select(1, b)) / 2;
        };
        const auto centres =
            (middle(0, 2) * weights(first) + middle(1, 3) * weights(second)) / weights(first + second + kCentreEpsilon);
        return torch::cat({values, centres});
    };
    const auto centre =
        (torch::arange(quads.size(0), quads.options()) + topology.vertices).reshape({-1, 1, 1}).expand({-1, 4, 1});
    const auto sides = torch::stack({quads, quads.roll({-1}, {1})}, 2);
    mesh.faces = torch::cat({sides, centre}, 2).reshape({-1, 3});
    mesh.vertices = withCentres(mesh.vertices);
    if (mesh.attributes.defined()) mesh.attributes = withCentres(mesh.attributes);
    return mesh;
}

}  // namespace medseg
