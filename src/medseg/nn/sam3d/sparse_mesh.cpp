#include "medseg/nn/sam3d/sparse_mesh.h"

#include <tuple>

#include "medseg/nn/sam3d/flexicubes.h"

namespace medseg {
namespace {

using torch::Tensor;

constexpr double kDeviationWeight = 0.5, kWeightsWeight = 0.2;

/// Corner c of a cube lies at (c & 1, c >> 1 & 1, c >> 2).
Tensor cornerOffsets() {
    const auto c = torch::arange(8, torch::kLong);
    return torch::stack({c.remainder(2), torch::div(c, 2, "floor").remainder(2), torch::div(c, 4, "floor")}, 1);
}

/// Points of a grid of `side` points a side as numbers that ascend by (x, y, z), and back.
Tensor pack(const Tensor& points, std::int64_t side) {
    return (points.select(-1, 0) * side + points.select(-1, 1)) * side + points.select(-1, 2);
}
Tensor unpack(const Tensor& keys, std::int64_t side) {
    return torch::stack(
        {torch::div(keys, side * side, "floor"), torch::div(keys, side, "floor").remainder(side), keys.remainder(side)},
        1);
}

/// For each key its place in `sorted`, which holds it.
Tensor placesIn(const Tensor& sorted, const Tensor& keys) {
    return torch::searchsorted(sorted, keys);
}

Tensor deformed(const Tensor& corners, const Tensor& deformation, std::int64_t resolution) {
    const auto size = static_cast<double>(resolution);
    return corners.to(deformation.options().requires_grad(false)) / size - 0.5 +
           (1 - 1e-8) / (2 * size) * torch::tanh(deformation);
}

/// Corners of voxels with the mean of what their voxels say.
struct CornerField {
    Tensor keys;     ///< (k) ascending
    Tensor voxels;   ///< (n, 8) rows of the corners of every voxel
    Tensor values;   ///< (k, channels): distance, deformation, attributes
    Tensor sharing;  ///< (k) voxels at each corner
    Tensor consistency;
};

CornerField cornerField(const Tensor& coordinates, const Tensor& perCorner, std::int64_t side, bool training) {
    CornerField field;
    const auto all = pack(coordinates.unsqueeze(1) + cornerOffsets().unsqueeze(0), side).flatten();
    const auto [keys, inverse, counts] = at::_unique2(all, true, true, true);
    field.keys = keys;
    field.voxels = inverse.reshape({-1, 8});
    field.sharing = counts;
    const auto device = perCorner.device();
    const auto rows = inverse.to(device);
    const auto flat = perCorner.flatten(0, 1);
    const auto sums =
        torch::zeros({keys.size(0), flat.size(1)}, flat.options().requires_grad(false)).index_add(0, rows, flat);
    field.values = sums / counts.to(device).unsqueeze(1);
    if (training) field.consistency = (flat - field.values.index_select(0, rows)).square().mean();
    return field;
}

/// The cubes that a surface can cross, ascending: those around inside corners and, where other corners may be inside
/// too, around corners at the voxels' border.
Tensor candidateCubes(const CornerField& field, std::int64_t resolution, bool solid) {
    const std::int64_t side = resolution + 1;
    auto chosen = field.values.select(1, 0).detach().lt(0).to(torch::kCPU);
    if (solid) chosen = chosen | field.sharing.lt(8);
    const auto corners = unpack(field.keys.index_select(0, chosen.nonzero().flatten()), side);
    const auto cubes = (corners.unsqueeze(1) - cornerOffsets().unsqueeze(0)).reshape({-1, 3});
    const auto within = (cubes.ge(0) & cubes.lt(resolution)).all(1).nonzero().flatten();
    return std::get<0>(at::_unique2(pack(cubes.index_select(0, within), side)));
}

/// Distance of corners that no voxel has: -1 in the solid, else 1.
Tensor plainDistance(const Tensor& corners, const Tensor& solid, std::int64_t resolution,
                     const torch::TensorOptions& options) {
    if (!solid.defined()) return torch::ones({corners.size(0)}, options);
    const std::int64_t side = solid.size(0);
    const auto voxel = torch::div(corners * side, resolution, "floor").clamp_max(side - 1);
    const auto inside = solid.to(torch::kCPU).flatten().index_select(0, pack(voxel, side));
    return (1 - 2 * inside.to(torch::kFloat)).to(options);
}

/// Rows of `values` at `rows` of a tensor that is `fill` elsewhere.
Tensor placed(const Tensor& values, const Tensor& rows, std::int64_t count, double fill) {
    auto shape = values.sizes().vec();
    shape[0] = count;
    return torch::full(shape, fill, values.options().requires_grad(false))
        .index_copy(0, rows.to(values.device()), values);
}

FlexiCubesGrid gridOf(const CornerField& field, const Tensor& coordinates, const Tensor& weights,
                      std::int64_t resolution, bool colors, const Tensor& solid) {
    const std::int64_t side = resolution + 1;
    const Tensor cubes = candidateCubes(field, resolution, solid.defined());
    FlexiCubesGrid grid;
    grid.coordinates = unpack(cubes, side);
    const auto cubeCorners = pack(grid.coordinates.unsqueeze(1) + cornerOffsets().unsqueeze(0), side);
    const auto corners = std::get<0>(at::_unique2(torch::cat({field.keys, cubeCorners.flatten()})));
    grid.cubes = placesIn(corners, cubeCorners);
    const auto rows = placesIn(corners, field.keys);
    const auto& values = field.values;
    const auto points = unpack(corners, side);
    grid.distance = plainDistance(points, solid, resolution, values.options().requires_grad(false))
                        .index_copy(0, rows.to(values.device()), values.select(1, 0));
    const auto deformation = placed(values.narrow(1, 1, 3), rows, corners.size(0), 0);
    grid.positions = deformed(points, deformation, resolution);
    if (colors) grid.attributes = placed(values.narrow(1, 4, 6), rows, corners.size(0), 0);
    // Weights of the candidates that are voxels themselves; 0 for others.
    const auto voxels = pack(coordinates, side);
    const auto place = torch::searchsorted(cubes, voxels).clamp_max(std::max<std::int64_t>(cubes.size(0) - 1, 0));
    const auto known = cubes.size(0) == 0 ? torch::zeros({0}, torch::kLong)
                                          : cubes.index_select(0, place).eq(voxels).nonzero().flatten();
    const auto raw =
        placed(weights.index_select(0, known.to(weights.device())), place.index_select(0, known), cubes.size(0), 0);
    grid.beta = raw.narrow(1, 0, 12);
    grid.alpha = raw.narrow(1, 12, 8);
    grid.gamma = raw.select(1, 20);
    return grid;
}

}  // namespace

Tensor cornerDistances(const Tensor& coordinates, const Tensor& channels, std::int64_t resolution) {
    const auto own = channels.narrow(1, 0, MeshChannels::kCorners).unsqueeze(2) - 1.0 / static_cast<double>(resolution);
    const CornerField field = cornerField(coordinates.to(torch::kCPU, torch::kLong), own, resolution + 1, false);
    return field.values.select(1, 0).index_select(0, field.voxels.flatten().to(channels.device())).reshape({-1, 8});
}

DecodedMesh emptyMesh(bool colors) {
    DecodedMesh mesh;
    mesh.vertices = torch::zeros({0, 3});
    mesh.faces = torch::zeros({0, 3}, torch::kLong);
    if (colors) mesh.attributes = torch::zeros({0, 6});
    mesh.regulariser = torch::zeros({});
    mesh.supportPoints = torch::zeros({0, 3});
    mesh.supportDistance = torch::zeros({0});
    return mesh;
}

DecodedMesh extractMesh(const Tensor& coordinates, const Tensor& channels, std::int64_t resolution,
                        const MeshChannels& layout, bool training, const Tensor& solid) {
    if (coordinates.size(0) == 0) return emptyMesh(layout.colors);
    const auto voxels = coordinates.to(torch::kCPU, torch::kLong);
    std::int64_t next = 0;
    const auto take = [&](std::int64_t count) {
        next += count;
        return channels.narrow(1, next - count, count);
    };
    const auto distance = take(MeshChannels::kCorners).unsqueeze(2) - 1.0 / static_cast<double>(resolution);
    std::vector<Tensor> perCorner{distance, take(MeshChannels::kDeformation).reshape({-1, 8, 3})};
    const auto weights = take(MeshChannels::kWeights);
    if (layout.colors) perCorner.push_back(take(MeshChannels::kColors).reshape({-1, 8, 6}));
    const CornerField field = cornerField(voxels, torch::cat(perCorner, 2), resolution + 1, training);
    const FlexiCubesMesh surface =
        flexiCubes(gridOf(field, voxels, weights, resolution, layout.colors, solid), training);
    DecodedMesh mesh;
    mesh.vertices = surface.vertices;
    mesh.faces = surface.faces;
    mesh.attributes = surface.attributes;
    if (!training) return mesh;
    mesh.regulariser = field.consistency + kWeightsWeight * weights.narrow(1, 0, 20).abs().mean();
    if (surface.deviation.size(0) > 0)
        mesh.regulariser = mesh.regulariser + kDeviationWeight * surface.deviation.mean();
    mesh.supportPoints = deformed(unpack(field.keys, resolution + 1), field.values.narrow(1, 1, 3), resolution);
    mesh.supportDistance = field.values.select(1, 0);
    return mesh;
}

}  // namespace medseg
