// The mesh decoder's way from solids to surfaces: shapes that are hardly any, fields with known surfaces, the loss.
#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/nn/sam3d/gaussian_decoder.h"
#include "medseg/nn/sam3d/latent_flow.h"
#include "medseg/nn/sam3d/latent_structure.h"
#include "medseg/nn/sam3d/mesh_decoder.h"
#include "medseg/nn/sam3d/mesh_loss.h"

namespace medseg {
namespace {

constexpr std::int64_t kGrid = 16;

/// Distance to a sphere in the cube [-0.5, 0.5]^3, cube units.
torch::Tensor sphereDistance(const torch::Tensor& points, double radius) {
    return points.norm(2, 1) - radius;
}

torch::Tensor sphereSolid(double radius) {
    const auto axis = (torch::arange(kGrid, torch::kFloat) + 0.5) / kGrid - 0.5;
    const auto grid = torch::meshgrid({axis, axis, axis}, "ij");
    return torch::stack({grid[0], grid[1], grid[2]}, -1).norm(2, -1).le(radius);
}

/// What a perfect decoder would say about a sphere at voxels of the fine grid.
torch::Tensor sphereChannels(const torch::Tensor& voxels, std::int64_t resolution, double radius,
                             const MeshChannels& layout) {
    auto channels = torch::zeros({voxels.size(0), layout.count()});
    for (std::int64_t c = 0; c < 8; ++c) {
        const auto corner = voxels + torch::tensor({c % 2, c / 2 % 2, c / 4}, torch::kLong);
        const auto place = corner.to(torch::kFloat) / static_cast<double>(resolution) - 0.5;
        channels.select(1, c).copy_(sphereDistance(place, radius) + 1.0 / static_cast<double>(resolution));
    }
    return channels;
}

double signedVolume(const DecodedMesh& mesh) {
    const auto corner = [&](std::int64_t i) { return mesh.vertices.index_select(0, mesh.faces.select(1, i)); };
    return (corner(0) * torch::cross(corner(1), corner(2), 1)).sum().item<double>() / 6;
}

/// Edges that do not have exactly one face on either side.
std::int64_t openEdges(const DecodedMesh& mesh) {
    const auto& f = mesh.faces;
    const std::int64_t count = mesh.vertices.size(0) + 1;
    std::vector<torch::Tensor> directed, reversed;
    for (std::int64_t i = 0; i < 3; ++i) {
        const auto a = f.select(1, i), b = f.select(1, (i + 1) % 3);
        directed.push_back(a * count + b);
        reversed.push_back(b * count + a);
    }
    const auto forward = std::get<0>(torch::cat(directed).sort()), backward = std::get<0>(torch::cat(reversed).sort());
    return forward.ne(backward).sum().item<std::int64_t>();
}

MeshDecoder tinyDecoder() {
    torch::manual_seed(5);
    MeshDecoderShape shape = meshDecoderShape("tiny");
    shape.resolution = kGrid;
    MeshDecoder decoder(shape);
    torch::nn::init::normal_(decoder->outputLayer()->weight, 0, 0.5);
    return decoder;
}

TEST(LatentMesh, SphereWithinItsBand) {
    constexpr double kRadius = 0.3;
    const std::int64_t resolution = 4 * kGrid;
    const MeshChannels layout{false};
    const auto solid = sphereSolid(kRadius);
    const auto fine = SparseStructure::single(bandVoxels(solid))->subdivided()->subdivided()->positions();
    const auto channels = sphereChannels(fine, resolution, kRadius, layout);
    for (const bool training : {false, true}) {
        const DecodedMesh mesh = extractMesh(fine, channels, resolution, layout, training, solid);
        EXPECT_EQ(openEdges(mesh), 0);
        // Cells are 1/64 wide; over the diagonal of two of them a sphere bends by 8 width^2 / (8 radius).
        EXPECT_LT(sphereDistance(mesh.vertices, kRadius).abs().max().item<double>(), 1.0 / (64 * 64 * kRadius));
        EXPECT_NEAR(signedVolume(mesh), 4.0 / 3 * M_PI * std::pow(kRadius, 3), 5e-4);
    }
    // Without the solid the band has a second surface inside.
    const DecodedMesh hollow = extractMesh(fine, channels, resolution, layout, false);
    EXPECT_LT(signedVolume(hollow), signedVolume(extractMesh(fine, channels, resolution, layout, false, solid)) - 0.01);
}

TEST(LatentMesh, HardlyAnyShape) {
    MeshDecoder decoder = tinyDecoder();
    const auto voxels = [](const std::vector<std::array<std::int64_t, 3>>& list) {
        auto tensor = torch::zeros({static_cast<std::int64_t>(list.size()), 3}, torch::kLong);
        for (std::size_t i = 0; i < list.size(); ++i)
            for (std::int64_t axis = 0; axis < 3; ++axis)
                tensor[static_cast<std::int64_t>(i)][axis] = list[i][static_cast<std::size_t>(axis)];
        return tensor;
    };
    const std::int64_t last = kGrid - 1;
    const std::vector<torch::Tensor> shapes{
        voxels({{7, 7, 7}}),                           // one voxel
        voxels({{0, 0, 0}, {last, last, last}}),       // opposite corners of the grid
        voxels({{0, 5, 5}, {0, 5, 6}, {last, 2, 2}}),  // two components at the border
        sphereSolid(0.9).nonzero(),                    // the whole grid
        voxels({}),                                    // nothing
    };
    for (const auto& shape : shapes) {
        const auto structure = SparseStructure::single(shape);
        const auto latents = torch::randn({shape.size(0), 8});
        const DecodedField field = decoder->forward(latents, structure);
        EXPECT_EQ(field.channels.size(0), 64 * shape.size(0));
        for (const bool training : {false, true}) {
            const auto meshes = decoder->meshes(field, training);
            EXPECT_EQ(meshes.size(), shape.size(0) > 0 ? 1U : 0U);
            for (const DecodedMesh& mesh : meshes) {
                EXPECT_TRUE(mesh.vertices.isfinite().all().item<bool>());
                if (mesh.faces.size(0) > 0) {
                    EXPECT_LT(mesh.faces.max().item<std::int64_t>(), mesh.vertices.size(0));
                }
            }
        }
        GaussianDecoderShape splats;
        splats.torso = decoder->shape().torso;
        splats.resolution = kGrid;
        splats.perVoxel = 4;
        GaussianDecoder gaussians(splats);
        const auto items = gaussians->gaussians(gaussians->forward(latents, *structure), *structure);
        EXPECT_EQ(items.size(), shape.size(0) > 0 ? 1U : 0U);
        LatentFlowShape flow;
        flow.width = 32;
        flow.conditionWidth = 16;
        flow.blocks = 1;
        flow.heads = 2;
        flow.ioChannels = {16};
        LatentFlow generator(flow);
        const auto v = generator->velocity(latents, *structure, torch::tensor({100.0F}),
                                           generator->prepareCondition(torch::randn({1, 3, 16})));
        EXPECT_EQ(v.sizes(), latents.sizes());
    }
}

TEST(LatentMesh, ABatchIsItsItems) {
    MeshDecoder decoder = tinyDecoder();
    const auto first = bandVoxels(sphereSolid(0.2)), second = bandVoxels(sphereSolid(0.3));
    const auto latents = torch::randn({first.size(0) + second.size(0), 8});
    const auto both = std::make_shared<SparseStructure>(
        torch::cat({torch::constant_pad_nd(first, {1, 0}, 0), torch::constant_pad_nd(second, {1, 0}, 2)}));
    const auto meshes = decoder->meshes(decoder->forward(latents, both), false);
    ASSERT_EQ(meshes.size(), 3U);
    EXPECT_EQ(meshes[1].vertices.size(0), 0);
    const auto alone = SparseStructure::single(second);
    const auto mesh =
        decoder->meshes(decoder->forward(latents.narrow(0, first.size(0), second.size(0)), alone), false).at(0);
    EXPECT_TRUE(torch::equal(mesh.faces, meshes[2].faces));
    EXPECT_LT((mesh.vertices - meshes[2].vertices).abs().max().item<double>(), 1e-4);
}

TEST(LatentMesh, StructuresThatCannotBe) {
    const auto row = [](std::int64_t b, std::int64_t x) {
        return torch::tensor({b, x, std::int64_t{1}, std::int64_t{1}});
    };
    EXPECT_THROW(SparseStructure(torch::stack({row(0, 1), row(0, 1)})), UsageError);
    EXPECT_THROW(SparseStructure(torch::stack({row(0, -1)})), UsageError);
    EXPECT_THROW(SparseStructure(torch::stack({row(1, 1), row(0, 1)})), UsageError);
    EXPECT_THROW(SparseStructure(torch::zeros({2, 3}, torch::kLong)), UsageError);
    EXPECT_THROW(meshDecoderShape("huge"), UsageError);
}

TEST(LatentMesh, LossOfASphere) {
    constexpr double kTrue = 0.30, kPredicted = 0.31;
    const std::int64_t resolution = 4 * kGrid;
    const MeshChannels layout{false};
    const auto solid = sphereSolid(kTrue);
    const auto fine = SparseStructure::single(bandVoxels(solid))->subdivided()->subdivided()->positions();
    const DecodedMesh mesh =
        extractMesh(fine, sphereChannels(fine, resolution, kPredicted, layout), resolution, layout, true, solid);
    const auto direction = torch::randn({20000, 3});
    MeshTarget target{[](const torch::Tensor& points) { return sphereDistance(points, kTrue); },
                      direction / direction.norm(2, 1, true) * kTrue};
    MeshLossSettings settings;
    settings.grid = kGrid;
    settings.occupancy = 0.1;
    torch::manual_seed(1);
    const MeshLoss loss = meshLoss(mesh, target, settings);
    const double gap = (kPredicted - kTrue) * kGrid;
    EXPECT_NEAR(loss.distance, gap, 1e-4);
    // The nearest of n points spread at random over an area is on average sqrt(area / (pi n)) away, squared.
    const double spread = 4 * std::pow(kTrue * kGrid, 2) / static_cast<double>(settings.chamferPoints);
    EXPECT_GT(loss.chamfer, 2 * gap * gap);
    EXPECT_LT(loss.chamfer, 2 * gap * gap + 3 * spread);
    EXPECT_GT(loss.occupancy, 0);
    EXPECT_EQ(chamferDistance(torch::zeros({0, 3}), direction).item<double>(), 0);
}

TEST(LatentMesh, BandAndCorners) {
    // A half space: inside where x < 8.
    auto solid = torch::zeros({kGrid, kGrid, kGrid});
    solid.narrow(0, 0, 8).fill_(1);
    const auto band = bandVoxels(solid), shell = shellVoxels(solid);
    EXPECT_EQ(band.size(0), 2 * kGrid * kGrid);
    EXPECT_EQ(shell.size(0), kGrid * kGrid);
    EXPECT_TRUE(shell.select(1, 0).eq(7).all().item<bool>());
    const auto corners = cornerOccupancy(solid, shell);
    // Corners at x = 8 lie on the surface: half inside. Corners at x = 7 mirror those at x = 9.
    EXPECT_LT(corners.index_select(1, torch::tensor({1, 3, 5, 7})).abs().max().item<double>(), 1e-5);
    EXPECT_GT(corners.select(1, 0).min().item<double>(), 1);
}

}  // namespace
}  // namespace medseg
