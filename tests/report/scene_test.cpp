#include <cmath>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/mesh.h"
#include "medseg/report/mesh_display.h"
#include "medseg/report/scene_html.h"

namespace medseg {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A ball of 10 mm radius on a 1 mm grid whose centre lies at the world's (5, -7, 11).
LabelMap ball(double radius = 10) {
    const Geometry geometry = Geometry::axisAligned({32, 32, 32}, {1, 1, 1}, {5 - 15.5, -7 - 15.5, 11 - 15.5});
    Volume<std::uint8_t> voxels(geometry, 0);
    for (std::int64_t z = 0; z < 32; ++z)
        for (std::int64_t y = 0; y < 32; ++y)
            for (std::int64_t x = 0; x < 32; ++x)
                voxels(x, y, z) = std::hypot(x - 15.5, y - 15.5, z - 15.5) < radius ? 3 : 0;
    LabelTable table;
    table.add({3, "ball", {10, 20, 30}});
    return LabelMap(std::move(voxels), table);
}

double ballVolume(double radius) {
    return 4.0 / 3 * std::numbers::pi * radius * radius * radius;
}

/// Standard deviation of the vertices' distances from the centre, mm.
double roughness(const Mesh& mesh) {
    double sum = 0, squares = 0;
    for (const auto& v : mesh.vertices) {
        const double distance = std::hypot(v[0] - 5.0, v[1] + 7.0, v[2] - 11.0);
        sum += distance;
        squares += distance * distance;
    }
    const double count = static_cast<double>(mesh.vertices.size());
    return std::sqrt(squares / count - sum / count * sum / count);
}

TEST(MeshDisplay, SmoothingRemovesStepsAndKeepsTheVolume) {
    const Mesh rough = extractLabelSurfaces(ball())[0].mesh;
    const Mesh smooth = smoothSurface(rough, 12);
    EXPECT_EQ(smooth.triangles, rough.triangles);
    EXPECT_LT(roughness(smooth), 0.6 * roughness(rough));
    EXPECT_NEAR(meshVolume(smooth), ballVolume(10), 0.04 * ballVolume(10));
    EXPECT_EQ(smoothSurface(rough, 0).vertices, rough.vertices);
    EXPECT_TRUE(smoothSurface(Mesh{}, 5).empty());
}

TEST(MeshDisplay, ClusteringCoarsensAndKeepsTheShape) {
    const Mesh fine = extractLabelSurfaces(ball())[0].mesh;
    const Mesh coarse = clusterVertices(fine, 3);
    EXPECT_LT(coarse.triangles.size(), fine.triangles.size() / 3);
    EXPECT_NEAR(meshVolume(coarse), ballVolume(10), 0.1 * ballVolume(10));
    for (const auto& triangle : coarse.triangles)
        for (const std::uint32_t index : triangle) ASSERT_LT(index, coarse.vertices.size());
}

nlohmann::json describedIn(const std::string& page) {
    const std::string mark = "id=\"scene\">";
    const std::size_t start = page.find(mark) + mark.size();
    return nlohmann::json::parse(page.substr(start, page.find("</script>", start) - start));
}

TEST(SceneHtml, HoldsEveryMeshAndLoadsNothing) {
    const LabelMap reference = ball(), prediction = ball(8);
    Scene scene = makeScene(&reference, &prediction);
    scene.title = "case <1>";
    const std::string page = renderSceneHtml(scene);
    EXPECT_THAT(page, HasSubstr("case &lt;1&gt;"));
    EXPECT_THAT(page, Not(HasSubstr("http:")));
    EXPECT_THAT(page, Not(HasSubstr("https:")));
    const auto described = describedIn(page);
    ASSERT_EQ(described["meshes"].size(), 2U);
    std::size_t end = 0;
    for (const auto& mesh : described["meshes"]) {
        EXPECT_EQ(mesh["name"], "ball");
        EXPECT_EQ(mesh["color"], nlohmann::json({10, 20, 30}));
        EXPECT_EQ(mesh["positionOffset"].get<std::size_t>() % 4, 0U);
        EXPECT_EQ(mesh["indexOffset"].get<std::size_t>() % 4, 0U);
        EXPECT_GE(mesh["positionOffset"].get<std::size_t>(), end);
        EXPECT_GE(mesh["indexOffset"].get<std::size_t>(),
                  mesh["positionOffset"].get<std::size_t>() + mesh["vertices"].get<std::size_t>() * 6);
        end = mesh["indexOffset"].get<std::size_t>() +
              mesh["triangles"].get<std::size_t>() * 3 * mesh["indexBytes"].get<std::size_t>();
    }
    const std::string mark = "id=\"data\">";
    const std::size_t start = page.find(mark) + mark.size();
    const std::size_t length = page.find("</script>", start) - start;
    EXPECT_EQ(length, ((end + 3) / 4 * 4 + 2) / 3 * 4);
    EXPECT_NEAR(described["low"][0].get<double>(), 5 - 10, 0.5);
    EXPECT_NEAR(described["high"][2].get<double>(), 11 + 10, 0.5);
    EXPECT_NEAR(described["meshes"][0]["ml"].get<double>(), ballVolume(10) / 1000, 0.1);
}

TEST(SceneHtml, StaysWithinItsTriangles) {
    const LabelMap labels = ball();
    const Scene scene = makeScene(&labels, nullptr);
    SceneOptions options;
    options.mostTriangles = 500;
    const auto described = describedIn(renderSceneHtml(scene, options));
    EXPECT_LE(described["meshes"][0]["triangles"].get<std::size_t>(), 500U);
    EXPECT_GE(described["meshes"][0]["triangles"].get<std::size_t>(), 50U);
}

TEST(SceneHtml, RefusesNothingToShow) {
    const LabelMap empty(Volume<std::uint8_t>(Geometry::axisAligned({4, 4, 4}, {1, 1, 1}), 0));
    EXPECT_THROW(makeScene(&empty, nullptr), DataError);
    EXPECT_THROW(renderSceneHtml({}), DataError);
}

}  // namespace
}  // namespace medseg
