// The shapes that meshes are trained towards.
#include "medseg/train/reference_shape.h"

#include <cmath>

#include <gtest/gtest.h>

#include "medseg/train/latent_sample.h"

namespace medseg {
namespace {

constexpr std::int64_t kSize = 48, kGrid = 16;

/// Distances of an ellipsoid to the nearest voxel centre of the other kind, about as the preparation stores them.
Volume<float> ellipsoid() {
    Volume<float> distance(Geometry::axisAligned({kSize, kSize, kSize}, {1, 1, 1}));
    for (std::int64_t i = 0; i < kSize; ++i)
        for (std::int64_t j = 0; j < kSize; ++j)
            for (std::int64_t k = 0; k < kSize; ++k) {
                const double x = static_cast<double>(i) - 22, y = static_cast<double>(j) - 24,
                             z = static_cast<double>(k) - 25;
                // A ball, but for the axes' order, with a dent in one direction.
                const double d = std::sqrt(x * x + y * y + z * z) - (14 - (z > 0 ? 0.2 * z : 0));
                distance(k, j, i) = static_cast<float>(d + (d < 0 ? -0.5 : 0.5));
            }
    return distance;
}

OccupancyFrame frame() {
    OccupancyFrame frame;
    frame.grid = kGrid;
    frame.side = kSize;
    frame.centre = {kSize / 2.0, kSize / 2.0, kSize / 2.0};
    return frame;
}

TEST(ReferenceShape, ReadsDistancesAtPoints) {
    const ReferenceShape shape(ellipsoid(), frame());
    // Index (22, 24, 25) is the middle of the ball; index i lies at (i + 0.5) / 48 - 0.5.
    const auto points = torch::tensor({{-1.5, 0.5, 1.5}, {-1.5 + 20, 0.5, 1.5}, {-1.5, 0.5 - 14, 1.5}}) / kSize;
    const auto distance = shape.distance(points) * kSize;
    EXPECT_NEAR(distance[0].item<double>(), -14, 0.5);  // the tip of a cone, interpolated
    EXPECT_NEAR(distance[1].item<double>(), 6, 0.05);
    EXPECT_NEAR(distance[2].item<double>(), 0, 0.05);
    EXPECT_LT(shape.distance(shape.surface()).abs().max().item<double>() * kSize, 0.02);
    EXPECT_TRUE(shape.solid()[7][8][8].item<bool>());
    EXPECT_FALSE(shape.solid()[0][0][0].item<bool>());
}

TEST(ReferenceShape, ChangesItselfAndItsDistancesAlike) {
    const ReferenceShape shape(ellipsoid(), frame());
    std::int64_t moved = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Random random(seed);
        const ReferenceShape other = shape.changed(random);
        EXPECT_LT(other.distance(other.surface()).abs().max().item<double>() * kSize, 0.02);
        EXPECT_EQ(other.solid().sum().item<std::int64_t>(), shape.solid().sum().item<std::int64_t>());
        // The solid is where the distance says.
        const auto inside = (other.solid().nonzero().to(torch::kFloat) + 0.5) / kGrid - 0.5;
        const auto outside = (other.solid().logical_not().nonzero().to(torch::kFloat) + 0.5) / kGrid - 0.5;
        EXPECT_LT(other.distance(inside).max().item<double>() * kSize, 0.1);
        EXPECT_GT(other.distance(outside).min().item<double>() * kSize, -0.1);
        moved += torch::equal(other.solid(), shape.solid()) ? 0 : 1;
    }
    EXPECT_GT(moved, 15);
}

TEST(ReferenceShape, PartsOfABand) {
    const ReferenceShape shape(ellipsoid(), frame());
    Random random(4);
    const LatentSample whole = structureSample(shape, 0, nullptr), part = structureSample(shape, 50, &random);
    EXPECT_EQ(part.voxels.size(0), 50);
    EXPECT_EQ(part.latents.sizes(), (std::vector<std::int64_t>{50, 8}));
    EXPECT_LT(part.target.surface.size(0), whole.target.surface.size(0));
    EXPECT_EQ(whole.target.surface.size(0), shape.surface().size(0));
    // Every surface point of the part lies in one of its voxels.
    const auto voxel = ((part.target.surface + 0.5) * kGrid).floor().to(torch::kLong);
    EXPECT_TRUE(voxel.unsqueeze(1).eq(part.voxels.unsqueeze(0)).all(2).any(1).all().item<bool>());
}

}  // namespace
}  // namespace medseg
