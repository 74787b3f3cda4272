#include "medseg/train/reference_shape.h"

#include <algorithm>
#include <cmath>

#include "medseg/dataset/sam3d_volume.h"
#include "medseg/imaging/marching_cubes.h"

namespace medseg {
namespace {

constexpr std::int64_t kLargestField = 256;

Volume<float> towardsSurface(const Volume<float>& distance) {
    Volume<float> moved = distance.clone();
    for (float& value : moved.voxels())
        if (std::abs(value) < kSam3dNoSurface) value -= std::copysign(0.5F, value);
    return moved;
}

/// Vertices of the zero level of a field (l, l, l) over the cube.
torch::Tensor surfacePoints(const torch::Tensor& field) {
    const std::int64_t side = field.size(0);
    const auto inverted = (-field).contiguous();
    Volume<float> volume(Geometry::axisAligned({side, side, side}, {1, 1, 1}));
    std::copy_n(inverted.data_ptr<float>(), volume.voxelCount(), volume.data());
    SurfaceOptions options;
    options.closeBorder = false;
    const Mesh mesh = extractSurface(volume, 0.0, options);
    auto points = torch::zeros({static_cast<std::int64_t>(mesh.vertices.size()), 3});
    auto* place = points.data_ptr<float>();
    // The volume's x axis is the field's last.
    for (const auto& vertex : mesh.vertices)
        for (const std::size_t axis : {2, 1, 0}) *place++ = (vertex[axis] + 0.5F) / static_cast<float>(side) - 0.5F;
    return points;
}

torch::Tensor rowsOf(const torch::Tensor& voxels, std::int64_t side) {
    return (voxels.select(1, 0) * side + voxels.select(1, 1)) * side + voxels.select(1, 2);
}

}  // namespace

ReferenceShape::ReferenceShape(const Volume<float>& distance, const OccupancyFrame& frame) {
    OccupancyFrame fine = frame;
    const auto factor = static_cast<std::int64_t>(std::ceil(frame.step() - 1e-9));
    fine.grid = std::min(std::max(kLargestField, frame.grid), frame.grid * std::max<std::int64_t>(factor, 1));
    std::vector<float> values = distanceInFrame(towardsSurface(distance), fine);
    field_ =
        torch::from_blob(values.data(), {fine.grid, fine.grid, fine.grid}).clone() / static_cast<double>(fine.grid);
    std::vector<std::uint8_t> inside = occupancyInFrame(distance, frame);
    solid_ = torch::from_blob(inside.data(), {frame.grid, frame.grid, frame.grid}, torch::kByte).to(torch::kBool);
    surface_ = surfacePoints(field_);
}

torch::Tensor ReferenceShape::distance(const torch::Tensor& points) const {
    namespace F = torch::nn::functional;
    const auto turned = (points - shift_) * sign_;
    std::vector<torch::Tensor> original(3);
    for (std::size_t i = 0; i < 3; ++i)
        original[static_cast<std::size_t>(axes_[i])] = turned.select(1, static_cast<std::int64_t>(i));
    // grid_sample counts axes from the last one.
    const auto place = 2 * torch::stack({original[2], original[1], original[0]}, 1).reshape({1, 1, 1, -1, 3});
    const auto options =
        F::GridSampleFuncOptions().mode(torch::kBilinear).padding_mode(torch::kBorder).align_corners(false);
    return F::grid_sample(field_.unsqueeze(0).unsqueeze(0), place, options).flatten();
}

MeshTarget ReferenceShape::target() const {
    return {[this](const torch::Tensor& points) { return distance(points); }, surface_};
}

ReferenceShape ReferenceShape::changed(Random& random) const {
    ReferenceShape other;
    random.shuffle(other.axes_);
    std::vector<std::int64_t> mirrored;
    for (std::int64_t axis = 0; axis < 3; ++axis)
        if (random.index(2) == 1) mirrored.push_back(axis);
    for (const std::int64_t axis : mirrored) other.sign_[axis] = -1;
    other.field_ = field_;
    other.solid_ = solid_.permute(other.axes_).flip(mirrored).contiguous();
    other.surface_ = surface_.index_select(1, torch::tensor(other.axes_, torch::kLong)) * other.sign_;
    const auto occupied = other.solid_.nonzero();
    if (occupied.size(0) > 0) {
        const std::int64_t side = grid();
        for (std::int64_t axis = 0; axis < 3; ++axis) {
            // A voxel stays free on either side, for the outer half of the band.
            const std::int64_t low = occupied.select(1, axis).min().item<std::int64_t>(),
                               high = occupied.select(1, axis).max().item<std::int64_t>();
            if (low < 1 || high > side - 2) continue;
            const std::int64_t room = (low - 1) + (side - 2 - high);
            const std::int64_t step =
                static_cast<std::int64_t>(random.index(static_cast<std::uint64_t>(room) + 1)) - (low - 1);
            other.solid_ = other.solid_.roll({step}, {axis});
            other.shift_[axis] = static_cast<float>(step) / static_cast<float>(side);
        }
    }
    other.surface_ = other.surface_ + other.shift_;
    return other;
}

torch::Tensor ReferenceShape::surfaceWithin(const torch::Tensor& voxels) const {
    const std::int64_t side = grid();
    const auto chosen = torch::zeros({side * side * side}, torch::kBool);
    chosen.index_fill_(0, rowsOf(voxels, side), true);
    const auto voxel = ((surface_ + 0.5) * side).floor().to(torch::kLong).clamp(0, side - 1);
    return surface_.index_select(0, chosen.index_select(0, rowsOf(voxel, side)).nonzero().flatten());
}

}  // namespace medseg
