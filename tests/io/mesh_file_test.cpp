#include "medseg/io/mesh_file.h"

#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

std::vector<LabelMesh> twoTetrahedra() {
    const Mesh tetrahedron{{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}}};
    Mesh moved = tetrahedron;
    for (auto& v : moved.vertices) v[2] += 12.5F;
    std::vector<LabelMesh> meshes(2);
    meshes[0].label.name = "left lung";
    meshes[0].label.color = {255, 0, 0};
    meshes[0].mesh = tetrahedron;
    meshes[1].label.name = "liver";
    meshes[1].mesh = moved;
    return meshes;
}

std::vector<std::uint8_t> bytesOf(const std::string& text) {
    return {text.begin(), text.end()};
}

TEST(MeshFile, EveryFormatReadsBack) {
    const TemporaryFolder folder;
    const auto meshes = twoTetrahedra();
    for (const char* name : {"a.obj", "a.ply", "a.STL"}) {
        const auto path = folder.path() / name;
        writeMeshes(path, meshes);
        const Mesh mesh = readMesh(path);
        ASSERT_EQ(mesh.triangles.size(), 8U) << name;
        ASSERT_EQ(mesh.vertices.size(), 8U) << name;
        for (std::size_t t = 0; t < 8; ++t)
            for (int corner = 0; corner < 3; ++corner)
                EXPECT_EQ(mesh.vertices[mesh.triangles[t][corner]],
                          meshes[t / 4].mesh.vertices[meshes[t / 4].mesh.triangles[t % 4][corner]])
                    << name;
    }
    const std::string obj = readTextFile(folder.path() / "a.obj"), materials = readTextFile(folder.path() / "a.mtl");
    EXPECT_NE(obj.find("mtllib a.mtl"), std::string::npos);
    EXPECT_NE(obj.find("o left_lung\nusemtl left_lung"), std::string::npos);
    EXPECT_NE(materials.find("newmtl left_lung\nKd 1.000000 0.000000 0.000000"), std::string::npos);
}

TEST(MeshFile, AsciiPlyAndStlAndPolygons) {
    const TemporaryFolder folder;
    const auto ply =
        folder.write("b.ply", bytesOf("ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
                                      "property float z\nelement face 1\nproperty list uchar int vertex_indices\n"
                                      "end_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"));
    EXPECT_EQ(readMesh(ply).triangles.size(), 2U);
    const auto stl =
        folder.write("b.stl", bytesOf("solid s\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\n"
                                      "vertex 0 1 0\nendloop\nendfacet\nendsolid s\n"));
    EXPECT_EQ(readMesh(stl).vertices.size(), 3U);
    const auto obj = folder.write("b.obj", bytesOf("v 0 0 0\r\nv 1 0 0\r\nv 0 1 0\r\nf -3/1 -2/2 -1/3\r\n"));
    EXPECT_EQ(readMesh(obj).triangles[0], (std::array<std::uint32_t, 3>{0, 1, 2}));
}

TEST(MeshFile, DamagedFilesAreErrorsWithTheirName) {
    const TemporaryFolder folder;
    const std::string header =
        "ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nend_header\n";
    const std::vector<std::pair<std::string, std::string>> damaged = {
        {"a.ply", header},
        {"b.ply", "ply\nformat ascii 1.0\nelement vertex 1\n"},
        {"c.ply", "plx"},
        {"d.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty complex x\nend_header\n1\n"},
        {"a.stl", "too short"},
        {"b.stl", "solid s\nvertex 0 0 0\n"},
        {"a.obj", "v 0 0 zero\n"},
        {"b.obj", "v 0 0 0\nf 1 2 3\n"}};
    for (const auto& [name, text] : damaged) {
        const auto path = folder.write(name, bytesOf(text));
        try {
            readMesh(path);
            ADD_FAILURE() << name;
        } catch (const DataError& error) {
            EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
        }
    }
    EXPECT_THROW(writeMeshes(folder.path() / "a.vtk", twoTetrahedra()), UsageError);
    auto broken = twoTetrahedra();
    broken[0].mesh.triangles[0][0] = 77;
    EXPECT_THROW(writeMeshes(folder.path() / "unwritten.ply", broken), DataError);
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "unwritten.ply"));
}

}  // namespace
}  // namespace medseg
