#include <algorithm>

#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/mesh.h"
#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

// Table-independent facts exactly; area and volume within the half percent of the tolerance text.
const Registration surface("marching_cubes", [](const Entry& entry) {
    const auto& expected = entry.expected();
    const std::string tolerance = entry.json.at("tolerance");
    const auto field = volumeOf<float>(entry.input(0), perAxis(entry.params().at("spacing"), 3, 1));
    const Mesh mesh = extractSurface(field, entry.params().at("level"), {false});
    EXPECT_EQ(mesh.vertices.size(), expected.at("n_sign_change_edges"));
    const MeshTopology topology = meshTopology(mesh);
    EXPECT_TRUE(topology.consistentlyOriented);
    EXPECT_EQ(topology.nonManifoldEdges, 0);
    const bool closed = expected.at("n_boundary_edges") == 0;
    EXPECT_EQ(topology.boundaryEdges == 0, closed);
    EXPECT_EQ(topology.isWatertight(), closed);
    const MeshBounds bounds = meshBounds(mesh);
    for (int axis = 0; axis < 3; ++axis) {
        EXPECT_NEAR(bounds.low[axis], expected.at("vertex_min").at(2 - axis), 1e-4);
        EXPECT_NEAR(bounds.high[axis], expected.at("vertex_max").at(2 - axis), 1e-4);
    }
    if (tolerance.starts_with("ambiguous")) return;
    const std::size_t percent = tolerance.find(" %");
    ASSERT_NE(percent, std::string::npos) << tolerance;
    const double allowed = std::stod(tolerance.substr(tolerance.rfind(' ', percent - 1))) / 100;
    const double area = expected.at("area"), volume = expected.at("enclosed_volume_abs");
    EXPECT_NEAR(meshArea(mesh), area, allowed * area);
    if (closed) {
        // Our normals point outwards whatever scikit-image's direction.
        EXPECT_NEAR(meshVolume(mesh), volume, allowed * volume);
    }
    const bool classic = expected.at("n_vertices") == expected.at("n_sign_change_edges");
    if (closed && classic && expected.at("n_faces") == mesh.triangles.size()) {
        EXPECT_EQ(topology.eulerCharacteristic, expected.at("euler_V_minus_E_plus_F"));
    }
    if (entry.json.contains("outputs") && entry.json.at("outputs").contains("vertices_sorted")) {
        std::vector<std::array<float, 3>> sorted;
        for (const auto& v : mesh.vertices) sorted.push_back({v[2], v[1], v[0]});
        std::sort(sorted.begin(), sorted.end());
        std::vector<double> flat;
        for (const auto& v : sorted) flat.insert(flat.end(), v.begin(), v.end());
        expectNear(flat, entry.output("vertices_sorted").toDoubles(), {1e-4, 0});
    }
});

}  // namespace
}  // namespace medseg::parity
