// How close meshes come to organs that the mesh decoder has not seen: a tiny decoder is trained on the true 64^3
// structure of phantom organs and compared with marching cubes of the same structure. The truth are the organs at 1 mm.
// Usage: bench_nn_sam3d_phantom_meshes [TRAINING_CASES] [TEST_CASES] [STEPS] [VOXELS_A_STEP]
#include <array>
#include <chrono>
#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include "medseg/base/threads.h"
#include "medseg/dataset/phantom.h"
#include "medseg/dataset/sam3d_volume.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/nn/sam3d/latent_structure.h"
#include "medseg/nn/sam3d/mesh_decoder.h"
#include "medseg/train/latent_sample.h"
#include "medseg/train/reference_shape.h"

namespace medseg {
namespace {

constexpr std::int64_t kGrid = 64;
constexpr double kMargin = 1.15;  // side of the cube over the longest side of the organ's box
const std::vector<std::string> kOrgans{"liver", "spleen", "kidney_left", "kidney_right", "stomach", "heart"};

struct Organ {
    std::string name;
    ReferenceShape shape;
    double voxelMm;
};

/// The organ cut out with its signed distance, as the preparation stores it: memory order (i, j, k).
std::optional<Organ> cutOut(const LabelMap& labels, int id, const std::string& name) {
    Index3 low{1 << 20, 1 << 20, 1 << 20}, high{-1, -1, -1};
    labels.visit([&](const auto& voxels) {
        for (std::int64_t z = 0; z < voxels.nz(); ++z)
            for (std::int64_t y = 0; y < voxels.ny(); ++y)
                for (std::int64_t x = 0; x < voxels.nx(); ++x)
                    if (voxels(x, y, z) == id) {
                        const Index3 at{x, y, z};
                        for (std::size_t axis = 0; axis < 3; ++axis) {
                            low[axis] = std::min(low[axis], at[axis]);
                            high[axis] = std::max(high[axis], at[axis]);
                        }
                    }
    });
    if (high[0] < 0) return std::nullopt;
    double side = 0;
    Index3 size{};
    constexpr std::int64_t kBorder = 12;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        side = std::max(side, kMargin * static_cast<double>(high[axis] - low[axis] + 1));
        low[axis] -= kBorder;
        size[axis] = high[axis] - low[axis] + 1 + kBorder;
    }
    Volume<std::uint8_t> mask(Geometry::axisAligned({size[2], size[1], size[0]}, {1, 1, 1}), std::uint8_t{0});
    labels.visit([&](const auto& voxels) {
        const auto within = [](std::int64_t v, std::int64_t n) { return v >= 0 && v < n; };
        for (std::int64_t i = 0; i < size[0]; ++i)
            for (std::int64_t j = 0; j < size[1]; ++j)
                for (std::int64_t k = 0; k < size[2]; ++k) {
                    const std::int64_t x = low[0] + i, y = low[1] + j, z = low[2] + k;
                    if (within(x, voxels.nx()) && within(y, voxels.ny()) && within(z, voxels.nz()))
                        mask(k, j, i) = voxels(x, y, z) == id ? 1 : 0;
                }
    });
    OccupancyFrame frame;
    frame.grid = kGrid;
    frame.side = side;
    for (std::size_t axis = 0; axis < 3; ++axis) frame.centre[axis] = static_cast<double>(size[axis]) / 2;
    return Organ{name, ReferenceShape(labelDistance(mask, 1, DistanceUnit::Voxel), frame), frame.step()};
}

std::vector<Organ> organs(int first, int count) {
    PhantomSettings settings;
    settings.size = {400, 320, 384};
    settings.cases = first + count;
    settings.seed = 2026;
    settings.structures = kOrgans;
    const std::vector<std::string> names = phantomStructures(settings);
    std::vector<Organ> result;
    for (int index = first; index < first + count; ++index) {
        const PhantomCase drawn = makePhantomCase(settings, index);
        for (std::size_t i = 0; i < names.size(); ++i)
            if (auto organ = cutOut(drawn.labels, static_cast<int>(i) + 1, names[i]))
                result.push_back(std::move(*organ));
    }
    return result;
}

using Point = std::array<double, 3>;

Point minus(const Point& a, const Point& b) {
    return {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
}
double dot(const Point& a, const Point& b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

double toSegment(const Point& p, const Point& a, const Point& b) {
    const Point along = minus(b, a), from = minus(p, a);
    const double length = dot(along, along);
    const double t = length > 0 ? std::clamp(dot(from, along) / length, 0.0, 1.0) : 0.0;
    const Point gap{from[0] - t * along[0], from[1] - t * along[1], from[2] - t * along[2]};
    return std::sqrt(dot(gap, gap));
}

double toTriangle(const Point& p, const Point& a, const Point& b, const Point& c) {
    const Point u = minus(b, a), v = minus(c, a), w = minus(p, a);
    const double uu = dot(u, u), uv = dot(u, v), vv = dot(v, v), wu = dot(w, u), wv = dot(w, v);
    const double area = uu * vv - uv * uv;
    if (area > 0) {
        const double s = (vv * wu - uv * wv) / area, t = (uu * wv - uv * wu) / area;
        if (s >= 0 && t >= 0 && s + t <= 1) {
            const Point gap{w[0] - s * u[0] - t * v[0], w[1] - s * u[1] - t * v[1], w[2] - s * u[2] - t * v[2]};
            return std::sqrt(dot(gap, gap));
        }
    }
    return std::min({toSegment(p, a, b), toSegment(p, b, c), toSegment(p, c, a)});
}

struct Surface {
    torch::Tensor vertices, faces;
};

/// Distances to a surface: triangles by the voxel of their centre, those around a point's voxel are looked at.
class SurfaceIndex {
  public:
    explicit SurfaceIndex(const Surface& surface)
        : vertices_(surface.vertices.to(torch::kDouble).contiguous()), faces_(surface.faces.contiguous()) {
        for (std::int64_t face = 0; face < faces_.size(0); ++face) {
            Point centre{};
            for (std::int64_t c = 0; c < 3; ++c) {
                const Point corner = cornerOf(face, c);
                for (std::size_t axis = 0; axis < 3; ++axis) centre[axis] += corner[axis] / 3;
            }
            cells_[voxelOf(centre)].push_back(face);
        }
    }

    double distance(const Point& p) const {
        double best = std::numeric_limits<double>::infinity();
        const auto middle = voxelOf(p);
        // One voxel around is certain up to that distance; beyond it the search widens.
        for (std::int64_t reach = 1; reach <= kGrid && best > static_cast<double>(reach - 1) / kGrid; reach *= 2)
            for (std::int64_t x = -reach; x <= reach; ++x)
                for (std::int64_t y = -reach; y <= reach; ++y)
                    for (std::int64_t z = -reach; z <= reach; ++z) {
                        const auto found = cells_.find({middle[0] + x, middle[1] + y, middle[2] + z});
                        if (found == cells_.end()) continue;
                        for (const std::int64_t face : found->second)
                            best =
                                std::min(best, toTriangle(p, cornerOf(face, 0), cornerOf(face, 1), cornerOf(face, 2)));
                    }
        return best;
    }

    double meanDistance(const torch::Tensor& points) const {
        const auto place = points.to(torch::kDouble).contiguous();
        double sum = 0;
        for (std::int64_t i = 0; i < place.size(0); ++i) {
            const double* row = place.data_ptr<double>() + 3 * i;
            sum += distance({row[0], row[1], row[2]});
        }
        return sum / static_cast<double>(place.size(0));
    }

  private:
    static std::array<std::int64_t, 3> voxelOf(const Point& p) {
        return {static_cast<std::int64_t>(std::floor(p[0] * kGrid)),
                static_cast<std::int64_t>(std::floor(p[1] * kGrid)),
                static_cast<std::int64_t>(std::floor(p[2] * kGrid))};
    }
    Point cornerOf(std::int64_t face, std::int64_t corner) const {
        const std::int64_t vertex = faces_.data_ptr<std::int64_t>()[3 * face + corner];
        const double* row = vertices_.data_ptr<double>() + 3 * vertex;
        return {row[0], row[1], row[2]};
    }

    torch::Tensor vertices_, faces_;
    std::map<std::array<std::int64_t, 3>, std::vector<std::int64_t>> cells_;
};

/// Points spread evenly over the faces.
torch::Tensor spreadOver(const torch::Tensor& vertices, const torch::Tensor& faces, std::int64_t count) {
    if (faces.size(0) == 0) return torch::zeros({0, 3});
    const auto corner = [&](std::int64_t i) { return vertices.index_select(0, faces.select(1, i)); };
    const auto a = corner(0), b = corner(1), c = corner(2);
    const auto area = torch::cross(b - a, c - a, 1).norm(2, 1);
    const auto face = torch::multinomial(area, count, true);
    auto u = torch::rand({count, 1}), v = torch::rand({count, 1});
    const auto flip = (u + v).gt(1);
    u = torch::where(flip, 1 - u, u);
    v = torch::where(flip, 1 - v, v);
    const auto at = [&](const torch::Tensor& x) { return x.index_select(0, face); };
    return at(a) + u * (at(b) - at(a)) + v * (at(c) - at(a));
}

/// Mean of the mean distances both ways, voxels.
double surfaceDistance(const Surface& surface, const ReferenceShape& truth) {
    constexpr std::int64_t kPoints = 10000;
    if (surface.faces.size(0) == 0) return std::numeric_limits<double>::infinity();
    const auto own = spreadOver(surface.vertices, surface.faces, kPoints);
    const auto chosen =
        torch::randperm(truth.surface().size(0)).narrow(0, 0, std::min(kPoints, truth.surface().size(0)));
    return kGrid *
           (truth.distance(own).abs().mean().item<double>() +
            SurfaceIndex(surface).meanDistance(truth.surface().index_select(0, chosen))) /
           2;
}

Surface marchingCubes(const torch::Tensor& solid) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({kGrid, kGrid, kGrid}, {1, 1, 1}));
    const auto bytes = solid.to(torch::kByte).contiguous();
    std::copy_n(bytes.data_ptr<std::uint8_t>(), volume.voxelCount(), volume.data());
    const Mesh mesh = extractLabelSurface(volume, std::uint8_t{1});
    auto vertices = torch::zeros({static_cast<std::int64_t>(mesh.vertices.size()), 3});
    auto faces = torch::zeros({static_cast<std::int64_t>(mesh.triangles.size()), 3}, torch::kLong);
    for (std::size_t i = 0; i < mesh.vertices.size(); ++i)
        for (std::size_t axis = 0; axis < 3; ++axis)
            vertices[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(2 - axis)] =
                (mesh.vertices[i][axis] + 0.5F) / kGrid - 0.5F;
    for (std::size_t i = 0; i < mesh.triangles.size(); ++i)
        for (std::size_t c = 0; c < 3; ++c)
            faces[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(c)] =
                static_cast<std::int64_t>(mesh.triangles[i][c]);
    return {vertices, faces};
}

Surface decoded(MeshDecoder& decoder, const ReferenceShape& shape) {
    torch::NoGradGuard noGradient;
    const LatentSample sample = structureSample(shape, 0, nullptr);
    const auto field = decoder->forward(sample.latents, SparseStructure::single(sample.voxels));
    const DecodedMesh mesh = decoder->meshes(field, false, {sample.solid}).at(0);
    return {mesh.vertices, mesh.faces};
}

void train(MeshDecoder& decoder, const std::vector<Organ>& organs, int steps, std::int64_t voxels) {
    torch::optim::AdamW optimizer(decoder->parameters(), torch::optim::AdamWOptions(2e-3).weight_decay(0.01));
    const auto start = std::chrono::steady_clock::now();
    double sum = 0;
    for (int step = 0; step < steps; ++step) {
        Random random(7, static_cast<std::uint64_t>(step));
        torch::manual_seed(random.next());
        const double rise = std::min(1.0, (step + 1) / 30.0);
        const double rate = 2e-3 * rise * 0.5 * (1 + std::cos(M_PI * step / steps)) + 1e-6;
        for (auto& group : optimizer.param_groups()) static_cast<torch::optim::AdamWOptions&>(group.options()).lr(rate);
        const ReferenceShape shape = organs[random.index(organs.size())].shape.changed(random);
        const LatentSample sample = structureSample(shape, voxels, &random);
        const auto field = decoder->forward(sample.latents, SparseStructure::single(sample.voxels));
        const MeshLoss loss = meshLoss(decoder->meshes(field, true, {sample.solid}).at(0), sample.target, {});
        optimizer.zero_grad();
        loss.total.backward();
        torch::nn::utils::clip_grad_norm_(decoder->parameters(), 1.0);
        optimizer.step();
        sum += loss.distance;
        if ((step + 1) % 50 == 0) {
            const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            fmt::print(
                "step {}: distance {:.4f} voxels at the supervision points (mean of 50), chamfer {:.4f}, {:.0f} s\n",
                step + 1, sum / 50, loss.chamfer, seconds);
            std::fflush(stdout);
            sum = 0;
        }
    }
}

}  // namespace
}  // namespace medseg

int main(int argc, char** argv) {
    using namespace medseg;
    const auto argument = [&](int index, int otherwise) { return argc > index ? std::atoi(argv[index]) : otherwise; };
    const int trainingCases = argument(1, 6), testCases = argument(2, 2), steps = argument(3, 400);
    torch::set_num_threads(threadCount());
    const std::vector<Organ> training = organs(0, trainingCases), unseen = organs(trainingCases, testCases);
    torch::manual_seed(1);
    MeshDecoder decoder(meshDecoderShape("tiny"));
    fmt::print("{} organs to train on, {} unseen; {} parameters\n", training.size(), unseen.size(), [&] {
        std::int64_t count = 0;
        for (const auto& parameter : decoder->parameters()) count += parameter.numel();
        return count;
    }());
    std::fflush(stdout);
    train(decoder, training, steps, argument(4, 1200));
    double ours = 0, plain = 0;
    fmt::print("\nmean surface distance, voxels of the 64^3 grid\n{:<18}{:>8}{:>10}{:>18}\n", "organ", "mm/voxel",
               "decoder", "marching cubes");
    for (const Organ& organ : unseen) {
        torch::manual_seed(2);
        const Surface own = decoded(decoder, organ.shape), cubes = marchingCubes(organ.shape.solid());
        const double a = surfaceDistance(own, organ.shape), b = surfaceDistance(cubes, organ.shape);
        ours += a;
        plain += b;
        fmt::print("{:<18}{:>8.2f}{:>10.4f}{:>18.4f}\n", organ.name, organ.voxelMm, a, b);
        std::fflush(stdout);
    }
    const auto count = static_cast<double>(unseen.size());
    fmt::print("{:<18}{:>8}{:>10.4f}{:>18.4f}\n", "mean", "", ours / count, plain / count);
}
