#include "medseg/infer/surface_decoder.h"

#include <algorithm>
#include <cmath>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/nn/sam3d/latent_structure.h"

namespace medseg {
namespace {

/// More voxels than this are decoded on a grid half as fine, as the release does.
constexpr std::int64_t kMostVoxels = 42000;

/// A point of the cube [-0.5, 0.5]^3 as index of the framed volume, and back.
double toIndex(const OccupancyFrame& frame, std::size_t axis, double place) {
    return frame.centre[axis] + place * frame.side - 0.5;
}
double fromIndex(const OccupancyFrame& frame, std::size_t axis, double index) {
    return (index + 0.5 - frame.centre[axis]) / frame.side;
}

Vec3 transformed(const Affine& affine, const Vec3& point) {
    Vec3 result{};
    for (std::size_t row = 0; row < 3; ++row)
        result[row] =
            affine[row][0] * point[0] + affine[row][1] * point[1] + affine[row][2] * point[2] + affine[row][3];
    return result;
}

double determinant(const Affine& a) {
    return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
           a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}

/// The 3x3 part of the way from the cube to mm.
torch::Tensor cubeToWorld(const OccupancyFrame& frame, const Affine& affine) {
    auto matrix = torch::zeros({3, 3}, torch::kDouble);
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t column = 0; column < 3; ++column)
            matrix[static_cast<std::int64_t>(row)][static_cast<std::int64_t>(column)] =
                affine[row][column] * frame.side;
    return matrix;
}

/// Quaternions (n, 4), real part first, to rotations (n, 3, 3), and back.
torch::Tensor rotations(const torch::Tensor& q) {
    const auto w = q.select(1, 0), x = q.select(1, 1), y = q.select(1, 2), z = q.select(1, 3);
    const auto row = [](const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& c) {
        return torch::stack({a, b, c}, 1);
    };
    return torch::stack({row(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
                         row(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
                         row(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))},
                        1);
}

std::array<float, 4> quaternion(const double* m) {
    // The largest of the four parts is found first, so that nothing is divided by a small number.
    const std::array<double, 4> squares{1 + m[0] + m[4] + m[8], 1 + m[0] - m[4] - m[8], 1 - m[0] + m[4] - m[8],
                                        1 - m[0] - m[4] + m[8]};
    const auto largest = static_cast<std::size_t>(std::max_element(squares.begin(), squares.end()) - squares.begin());
    const double twice = std::sqrt(std::max(squares[largest], 1e-12));  // 2 |part|
    const double xy = m[1] + m[3], xz = m[2] + m[6], yz = m[5] + m[7];
    const double wx = m[7] - m[5], wy = m[2] - m[6], wz = m[3] - m[1];
    const double own = twice / 2, rest = 1 / (2 * twice);
    switch (largest) {
        case 0:
            return {static_cast<float>(own), static_cast<float>(wx * rest), static_cast<float>(wy * rest),
                    static_cast<float>(wz * rest)};
        case 1:
            return {static_cast<float>(wx * rest), static_cast<float>(own), static_cast<float>(xy * rest),
                    static_cast<float>(xz * rest)};
        case 2:
            return {static_cast<float>(wy * rest), static_cast<float>(xy * rest), static_cast<float>(own),
                    static_cast<float>(yz * rest)};
        default:
            return {static_cast<float>(wz * rest), static_cast<float>(xz * rest), static_cast<float>(yz * rest),
                    static_cast<float>(own)};
    }
}

/// Signed distance anywhere in the cube: within fine voxels from their corners, elsewhere far on the solid's side.
class FieldSampler {
  public:
    explicit FieldSampler(const DecodedObject& object)
        : resolution_(object.resolution),
          grid_(object.solid.size(0)),
          solid_(object.solid.to(torch::kByte).contiguous()),
          corners_(object.corners.to(torch::kFloat).contiguous()),
          row_(static_cast<std::size_t>(resolution_ * resolution_ * resolution_), -1) {
        const auto voxels = object.fineVoxels.contiguous();
        const auto* v = voxels.data_ptr<std::int64_t>();
        for (std::int64_t i = 0; i < voxels.size(0); ++i)
            row_[static_cast<std::size_t>((v[3 * i] * resolution_ + v[3 * i + 1]) * resolution_ + v[3 * i + 2])] =
                static_cast<std::int32_t>(i);
    }

    /// place: within [0, 1)^3.
    double at(const Vec3& place) const {
        std::array<std::int64_t, 3> cell{}, voxel{};
        std::array<double, 3> share{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const double scaled = place[axis] * static_cast<double>(resolution_);
            cell[axis] = std::min(static_cast<std::int64_t>(scaled), resolution_ - 1);
            share[axis] = scaled - static_cast<double>(cell[axis]);
            voxel[axis] = std::min(static_cast<std::int64_t>(place[axis] * static_cast<double>(grid_)), grid_ - 1);
        }
        const std::int32_t row =
            row_[static_cast<std::size_t>((cell[0] * resolution_ + cell[1]) * resolution_ + cell[2])];
        if (row < 0) {
            const std::int64_t index = (voxel[0] * grid_ + voxel[1]) * grid_ + voxel[2];
            return solid_.data_ptr<std::uint8_t>()[index] != 0 ? -1 : 1;
        }
        const float* corner = corners_.data_ptr<float>() + 8 * static_cast<std::int64_t>(row);
        double sum = 0;
        for (std::size_t c = 0; c < 8; ++c) {
            double weight = 1;
            for (std::size_t axis = 0; axis < 3; ++axis)
                weight *= (c >> axis & 1U) != 0 ? share[axis] : 1 - share[axis];
            sum += weight * static_cast<double>(corner[c]);
        }
        return sum;
    }

  private:
    std::int64_t resolution_, grid_;
    torch::Tensor solid_, corners_;
    std::vector<std::int32_t> row_;
};

}  // namespace

Mesh DecodedObject::worldMesh() const {
    Mesh world;
    const auto vertices = mesh.vertices.to(torch::kDouble).contiguous();
    const auto faces = mesh.faces.contiguous();
    const auto* v = vertices.data_ptr<double>();
    for (std::int64_t i = 0; i < vertices.size(0); ++i) {
        Vec3 index{};
        for (std::size_t axis = 0; axis < 3; ++axis)
            index[axis] = toIndex(frame, axis, v[3 * i + static_cast<std::int64_t>(axis)]);
        const Vec3 place = transformed(affine, index);
        world.vertices.push_back(
            {static_cast<float>(place[0]), static_cast<float>(place[1]), static_cast<float>(place[2])});
    }
    const bool mirrored = determinant(affine) < 0;
    const auto* f = faces.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < faces.size(0); ++i) {
        const auto corner = [&](std::int64_t c) { return static_cast<std::uint32_t>(f[3 * i + c]); };
        world.triangles.push_back({corner(0), corner(mirrored ? 2 : 1), corner(mirrored ? 1 : 2)});
    }
    return world;
}

Volume<float> DecodedObject::occupancy(const Geometry& target) const {
    Volume<float> result(target, 0.0F);
    if (voxels.size(0) == 0 && !solid.any().item<bool>()) return result;
    const FieldSampler field(*this);
    const Affine toVolume = multiply(inverse(affine), target.affine());
    // Distances in voxels of the target: the cube's side in its voxels.
    const double voxelMm = std::cbrt(target.voxelVolume());
    const double sideMm = std::cbrt(std::abs(determinant(affine))) * frame.side;
    parallelForEach(0, target.nz(), [&](std::int64_t z) {
        for (std::int64_t y = 0; y < target.ny(); ++y)
            for (std::int64_t x = 0; x < target.nx(); ++x) {
                const Vec3 index =
                    transformed(toVolume, {static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
                Vec3 place{};
                bool within = true;
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    place[axis] = fromIndex(frame, axis, index[axis]) + 0.5;
                    within = within && place[axis] >= 0 && place[axis] < 1;
                }
                if (!within) continue;
                const double distance = field.at(place) * sideMm / voxelMm;
                result(x, y, z) = static_cast<float>(std::clamp(0.5 - distance, 0.0, 1.0));
            }
    });
    return result;
}

std::unique_ptr<SurfaceDecoder> SurfaceDecoder::find(const std::filesystem::path& model, const Recipe& recipe) {
    std::optional<LoadedLatent> latent = findLatent(model, recipe);
    if (!latent) return nullptr;
    return std::unique_ptr<SurfaceDecoder>(new SurfaceDecoder(std::move(*latent), recipe));
}

DecodedObject SurfaceDecoder::decode(const std::vector<std::uint8_t>& solid, const OccupancyFrame& frame,
                                     const Affine& affine, const ConditionImages* condition, std::uint64_t seed) {
    torch::NoGradGuard noGradient;
    LatentNetwork& network = latent_.network;
    DecodedObject object;
    object.frame = frame;
    object.affine = affine;
    object.solid = gridTensor(solid, frame.grid).gt(0.5);
    const auto voxelsOf = [&] { return needsCondition() ? shellVoxels(object.solid) : bandVoxels(object.solid); };
    object.voxels = voxelsOf();
    while (object.voxels.size(0) > kMostVoxels) {
        object.solid = torch::max_pool3d(object.solid.to(torch::kFloat).unsqueeze(0), 2)[0].gt(0.5);
        object.voxels = voxelsOf();
    }
    object.resolution =
        object.solid.size(0) * network->shape().mesh.meshResolution() / network->shape().mesh.resolution;
    object.mesh = emptyMesh(network->shape().mesh.colors);
    object.fineVoxels = torch::zeros({0, 3}, torch::kLong);
    object.corners = torch::zeros({0, 8});
    if (object.voxels.size(0) == 0) return object;
    const auto structure = SparseStructure::single(object.voxels);
    if (needsCondition()) {
        if (condition == nullptr) throw UsageError("the latent generator needs the slice");
        torch::manual_seed(seed);
        const auto tokens = network->embedder->forward(stacked({*condition}));
        const FlowSampling sampling{recipe_.sampling.latentSteps, 1, recipe_.sampling.latentGuidance,
                                    recipe_.sampling.guidanceInterval, false};
        const auto noise = torch::randn({object.voxels.size(0), network->shape().flow.inChannels});
        object.latents = denormalisedLatents(sampleLatents(
            network->generator, noise, *structure, network->generator->prepareCondition(tokens),
            network->generator->emptyCondition(1), sampling, [](int, const torch::Tensor&) { throwIfInterrupted(); }));
    } else {
        object.latents = cornerOccupancy(object.solid, object.voxels);
    }
    const DecodedField field = network->decoder->forward(object.latents, structure);
    object.fineVoxels = field.structure->positions().contiguous();
    object.mesh = extractMesh(object.fineVoxels, field.channels, object.resolution,
                              MeshChannels{network->shape().mesh.colors}, false, object.solid);
    object.corners = cornerDistances(object.fineVoxels, field.channels, object.resolution);
    return object;
}

std::vector<Splat> SurfaceDecoder::splats(const DecodedObject& object) {
    torch::NoGradGuard noGradient;
    if (!needsCondition())
        throw UsageError("splats need latents of the released generator: this model's follow from the occupancy");
    if (!gaussians_) gaussians_ = loadGaussianDecoder(latent_.recipe.sam3d.weights, latent_.network->shape().mesh);
    std::vector<Splat> result;
    if (object.voxels.size(0) == 0) return result;
    const auto structure = SparseStructure::single(object.voxels);
    const Gaussians raw = gaussians_->gaussians(gaussians_->forward(object.latents, *structure), *structure).at(0);
    // A Gaussian's axes are those of its covariance after the way to mm.
    const auto way = cubeToWorld(object.frame, object.affine);
    const auto axes =
        torch::matmul(rotations(raw.rotations.to(torch::kDouble)), torch::diag_embed(raw.scales.to(torch::kDouble)));
    const auto moved = torch::matmul(way, axes);
    auto [variances, directions] = torch::linalg_eigh(torch::matmul(moved, moved.transpose(1, 2)), "L");
    const auto side = torch::linalg_det(directions).lt(0).reshape({-1, 1, 1});
    directions = torch::where(side, -directions, directions).contiguous();
    const auto scales = variances.clamp_min(0).sqrt().contiguous();
    const auto centres = raw.centres.to(torch::kDouble).contiguous(),
               opacities = raw.opacities.to(torch::kDouble).contiguous(),
               colors = raw.colors.to(torch::kDouble).contiguous();
    for (std::int64_t i = 0; i < centres.size(0); ++i) {
        Splat splat;
        Vec3 index{};
        for (std::size_t axis = 0; axis < 3; ++axis)
            index[axis] =
                toIndex(object.frame, axis, centres.data_ptr<double>()[3 * i + static_cast<std::int64_t>(axis)]);
        const Vec3 place = transformed(object.affine, index);
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const auto at = 3 * i + static_cast<std::int64_t>(axis);
            splat.centre[axis] = static_cast<float>(place[axis]);
            splat.color[axis] = static_cast<float>(colors.data_ptr<double>()[at]);
            splat.scale[axis] = static_cast<float>(scales.data_ptr<double>()[at]);
        }
        splat.opacity = static_cast<float>(opacities.data_ptr<double>()[i]);
        splat.rotation = quaternion(directions.data_ptr<double>() + 9 * i);
        result.push_back(splat);
    }
    return result;
}

}  // namespace medseg
