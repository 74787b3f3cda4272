#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/mesh.h"
#include "medseg/imaging/mesh_decimation.h"
#include "medseg/imaging/mesh_smoothing.h"

namespace medseg {
namespace {

Volume<float> sphereField(const Geometry& geometry, const Vec3& center, double radius) {
    Volume<float> field(geometry);
    for (std::int64_t z = 0; z < field.nz(); ++z)
        for (std::int64_t y = 0; y < field.ny(); ++y)
            for (std::int64_t x = 0; x < field.nx(); ++x) {
                const Vec3 p = geometry.voxelToWorld({double(x), double(y), double(z)});
                field(x, y, z) =
                    static_cast<float>(radius - std::hypot(p[0] - center[0], p[1] - center[1], p[2] - center[2]));
            }
    return field;
}

Mesh sphere() {
    return extractSurface(
        sphereField(Geometry::axisAligned({40, 40, 40}, {1, 1, 1}, {-20, -20, -20}), {0.1, 0.2, 0.3}, 15), 0);
}

TEST(Surface, SphereHasItsAreaVolumeAndTopologyInWorldCoordinates) {
    const Mesh mesh = extractSurface(
        sphereField(Geometry::axisAligned({50, 45, 30}, {0.8, 0.9, 1.5}, {-20, -18, 100}), {0, 2, 122}, 14), 0);
    const double pi = std::numbers::pi;
    EXPECT_NEAR(meshVolume(mesh), 4.0 / 3 * pi * 14 * 14 * 14, 0.01 * 4.0 / 3 * pi * 14 * 14 * 14);
    EXPECT_NEAR(meshArea(mesh), 4 * pi * 14 * 14, 0.01 * 4 * pi * 14 * 14);
    const MeshTopology topology = meshTopology(mesh);
    EXPECT_TRUE(topology.isWatertight());
    EXPECT_EQ(topology.eulerCharacteristic, 2);
    for (const auto& v : mesh.vertices) EXPECT_NEAR(std::hypot(v[0], v[1] - 2, v[2] - 122), 14, 0.05);
}

TEST(Surface, NormalsPointOutwardsAlsoWhenTheAffineMirrors) {
    for (const double sign : {1.0, -1.0}) {
        const Affine affine{{{sign, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}};
        const Mesh mesh = extractSurface(sphereField(Geometry({30, 30, 30}, affine), {sign * 15, 15, 15}, 10), 0);
        EXPECT_NEAR(meshVolume(mesh), 4.0 / 3 * std::numbers::pi * 1000, 50) << sign;
    }
}

TEST(Surface, NoiseIsClosedManifoldAndOriented) {
    Random random(4);
    Volume<std::uint8_t> noise(Geometry::axisAligned({33, 29, 31}, {1, 1, 1}));
    for (auto& v : noise.voxels()) v = random.uniform() < 0.4 ? 1 : 0;
    const Mesh mesh = extractLabelSurface(noise, std::uint8_t{1});
    EXPECT_TRUE(meshTopology(mesh).isWatertight());
    EXPECT_FALSE(meshTopology(extractLabelSurface(noise, std::uint8_t{1}, {false})).isWatertight());
}

TEST(Surface, MeshVolumeIsCloseToVoxelVolume) {
    Volume<std::uint16_t> labels(Geometry::axisAligned({60, 50, 40}, {0.7, 0.7, 2}), 0);
    std::int64_t count = 0;
    for (std::int64_t z = 0; z < 40; ++z)
        for (std::int64_t y = 0; y < 50; ++y)
            for (std::int64_t x = 0; x < 60; ++x)
                if (std::pow((double(x) - 31) / 22, 2) + std::pow((double(y) - 24) / 18, 2) +
                        std::pow((double(z) - 20) / 15, 2) <
                    1) {
                    labels(x, y, z) = 700;
                    ++count;
                }
    const double voxels = static_cast<double>(count) * 0.7 * 0.7 * 2;
    LabelTable table;
    table.add({700, "spleen", {10, 20, 30}});
    const LabelMap map(std::move(labels), table);
    const auto meshes = extractLabelSurfaces(map);
    ASSERT_EQ(meshes.size(), 1U);
    EXPECT_EQ(meshes[0].label.name, "spleen");
    EXPECT_NEAR(meshVolume(meshes[0].mesh), voxels, 0.02 * voxels);
    const auto smooth = extractLabelSurfaces(map, {true, 1.5});
    EXPECT_NEAR(meshVolume(smooth[0].mesh), voxels, 0.04 * voxels);  // a Gaussian pulls convex surfaces in
    EXPECT_LT(meshArea(smooth[0].mesh), meshArea(meshes[0].mesh));
    EXPECT_TRUE(meshTopology(smooth[0].mesh).isWatertight());
    EXPECT_TRUE(extractLabelSurfaces(map, {}, {3}).empty());
}

TEST(Surface, SingleVoxelBorderEmptyAndNan) {
    Volume<std::uint8_t> labels(Geometry::axisAligned({3, 3, 3}, {2, 2, 2}), 0);
    EXPECT_TRUE(extractLabelSurface(labels, std::uint8_t{1}).empty());
    labels(0, 2, 1) = 1;
    const Mesh mesh = extractLabelSurface(labels, std::uint8_t{1});
    EXPECT_EQ(mesh.triangles.size(), 8U);  // an octahedron
    EXPECT_NEAR(meshVolume(mesh), 8.0 / 6, 1e-5);
    EXPECT_TRUE(meshTopology(mesh).isWatertight());
    Volume<float> one(Geometry::axisAligned({1, 1, 1}, {1, 1, 1}), 5.0F);
    EXPECT_EQ(extractSurface(one, 1).triangles.size(), 8U);
    EXPECT_TRUE(extractSurface(one, 1, {false}).empty());
    auto field = sphereField(Geometry::axisAligned({20, 20, 20}, {1, 1, 1}), {10, 10, 10}, 6);
    field(10, 10, 10) = std::numeric_limits<float>::quiet_NaN();
    for (const auto& v : extractSurface(field, 0).vertices)
        for (const float c : v) EXPECT_TRUE(std::isfinite(c));
    EXPECT_THROW(extractSurface(Volume<float>(), 0), DataError);
}

TEST(Surface, ThreadsDoNotChangeResults) {
    const auto field = sphereField(Geometry::axisAligned({60, 60, 60}, {1, 1, 1}), {30, 31, 29}, 25);
    setThreadCount(1);
    const Mesh one = extractSurface(field, 0);
    setThreadCount(2);
    const Mesh two = extractSurface(field, 0);
    setThreadCount(0);
    EXPECT_EQ(one.vertices, two.vertices);
    EXPECT_EQ(one.triangles, two.triangles);
}

TEST(MeshSmoothing, TaubinKeepsTheVolumeThatLaplacianLoses) {
    Volume<std::uint8_t> labels(Geometry::axisAligned({40, 40, 40}, {1, 1, 1}), 0);
    for (std::int64_t z = 0; z < 40; ++z)
        for (std::int64_t y = 0; y < 40; ++y)
            for (std::int64_t x = 0; x < 40; ++x)
                labels(x, y, z) = std::hypot(double(x) - 20, double(y) - 20, double(z) - 20) < 14;
    const Mesh rough = extractLabelSurface(labels, std::uint8_t{1});
    Mesh taubin = rough, laplacian = rough;
    smoothTaubin(taubin, 20);
    smoothLaplacian(laplacian, 20);
    EXPECT_LT(meshArea(taubin), meshArea(rough));
    EXPECT_NEAR(meshVolume(taubin), meshVolume(rough), 0.01 * meshVolume(rough));
    EXPECT_LT(meshVolume(laplacian), 0.95 * meshVolume(rough));
    EXPECT_TRUE(meshTopology(taubin).isWatertight());
    EXPECT_THROW(smoothLaplacian(taubin, -1), UsageError);
    EXPECT_THROW(smoothTaubin(taubin, 1, 0.5, 0.5), UsageError);
}

TEST(MeshDecimation, KeepsShapeAndTopology) {
    Mesh mesh = sphere();
    const double volume = meshVolume(mesh);
    const std::size_t target = mesh.triangles.size() / 10;
    decimate(mesh, {target});
    EXPECT_LE(mesh.triangles.size(), target + 2);
    EXPECT_GT(mesh.triangles.size(), target / 2);
    EXPECT_NEAR(meshVolume(mesh), volume, 0.01 * volume);
    const MeshTopology topology = meshTopology(mesh);
    EXPECT_TRUE(topology.isWatertight());
    EXPECT_EQ(topology.eulerCharacteristic, 2);
    for (const auto& v : mesh.vertices) EXPECT_NEAR(std::hypot(v[0] - 0.1, v[1] - 0.2, v[2] - 0.3), 15, 0.3);
    Mesh strict = sphere();
    decimate(strict, {4, 0.001});
    EXPECT_GT(strict.triangles.size(), target);
}

TEST(Mesh, WrongTrianglesAreErrors) {
    Mesh mesh{{{0, 0, 0}, {1, 0, 0}}, {{0, 1, 2}}};
    EXPECT_THROW(meshArea(mesh), DataError);
    EXPECT_THROW(meshTopology(mesh), DataError);
    EXPECT_THROW(smoothLaplacian(mesh, 1), DataError);
    EXPECT_THROW(decimate(mesh, {0}), DataError);
}

}  // namespace
}  // namespace medseg
