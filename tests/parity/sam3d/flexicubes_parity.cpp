// FlexiCubes and its table against <fixtures>/sam3d/04d_flexicubes; gradients against finite differences.
#include "fixture.h"
#include "medseg/nn/sam3d/dual_cube_table.h"
#include "medseg/nn/sam3d/flexicubes.h"

namespace medseg {
namespace {

using test::Json;

/// All cubes of a grid of `resolution` cubes a side, corners and cubes with x slowest.
FlexiCubesGrid wholeGrid(std::int64_t resolution) {
    const auto axis = torch::arange(resolution, torch::kLong);
    const auto mesh = torch::meshgrid({axis, axis, axis}, "ij");
    FlexiCubesGrid grid;
    grid.coordinates = torch::stack({mesh[0], mesh[1], mesh[2]}, -1).reshape({-1, 3});
    std::vector<torch::Tensor> corners;
    const std::int64_t side = resolution + 1;
    for (std::int64_t c = 0; c < 8; ++c) {
        const auto place = grid.coordinates + torch::tensor({c % 2, c / 2 % 2, c / 4}, torch::kLong);
        corners.push_back((place.select(1, 0) * side + place.select(1, 1)) * side + place.select(1, 2));
    }
    grid.cubes = torch::stack(corners, 1);
    return grid;
}

FlexiCubesGrid gridOf(const test::Sam3dFixture& fixture, const std::string& name, const Json& description) {
    FlexiCubesGrid grid = wholeGrid(description.at("resolution"));
    grid.distance = fixture.tensor(name + ".sdf");
    grid.positions = fixture.tensor(name + ".positions");
    if (description.at("weights")) {
        grid.beta = fixture.tensor(name + ".beta");
        grid.alpha = fixture.tensor(name + ".alpha");
        grid.gamma = fixture.tensor(name + ".gamma_f");
    }
    if (description.at("colors")) grid.attributes = fixture.tensor(name + ".corner_colors");
    return grid;
}

/// Area and signed volume (positive when faces look outward).
std::pair<double, double> areaAndVolume(const FlexiCubesMesh& mesh) {
    const auto v = mesh.vertices.to(torch::kDouble);
    const auto corner = [&](std::int64_t i) { return v.index_select(0, mesh.faces.select(1, i)); };
    const auto normal = torch::cross(corner(1) - corner(0), corner(2) - corner(0), 1);
    return {normal.norm(2, 1).sum().item<double>() / 2, (corner(0) * normal).sum().item<double>() / 6};
}

TEST(Sam3dFlexiCubes, Table) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/04d_flexicubes");
    const test::Sam3dFixture fixture("04d_flexicubes");
    const auto loops = fixture.tensor("table.dmc_table"), counts = fixture.tensor("table.num_vd_table"),
               checks = fixture.tensor("table.check_table");
    const auto& table = dualCubeTable();
    for (std::int64_t number = 0; number < 256; ++number) {
        const DualCubeCase& own = table[static_cast<std::size_t>(number)];
        ASSERT_EQ(static_cast<std::int64_t>(own.vertices.size()), counts[number].item<std::int64_t>()) << number;
        auto rows = torch::full({loops.size(1), loops.size(2)}, -1, torch::kLong);
        for (std::size_t i = 0; i < own.vertices.size(); ++i)
            for (std::size_t j = 0; j < own.vertices[i].size(); ++j)
                rows[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)] = own.vertices[i][j];
        EXPECT_TRUE(torch::equal(rows, loops[number])) << number;
        const auto check = own.ambiguous
                               ? torch::tensor({std::int64_t{1}, std::int64_t{own.face[0]}, std::int64_t{own.face[1]},
                                                std::int64_t{own.face[2]}, 255 - number})
                               : torch::zeros({5}, torch::kLong);
        EXPECT_TRUE(torch::equal(check, checks[number])) << number;
    }
    const auto edges = fixture.hyper().at("edges").get<std::vector<std::array<int, 2>>>();
    for (std::size_t i = 0; i < edges.size(); ++i) EXPECT_EQ(kCubeEdges[i], edges[i]) << i;
}

TEST(Sam3dFlexiCubes, Cases) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/04d_flexicubes");
    const test::Sam3dFixture fixture("04d_flexicubes");
    const double rtol = fixture.tolerance("rtol"), atol = fixture.tolerance("atol");
    for (const auto& [name, description] : fixture.hyper().at("cases").items()) {
        SCOPED_TRACE(name);
        const FlexiCubesGrid grid = gridOf(fixture, name, description);
        for (const bool training : {false, true}) {
            const FlexiCubesMesh mesh = flexiCubes(grid, training);
            const std::string prefix = name + (training ? ".train" : ".eval");
            fixture.expectClose(mesh.vertices, prefix + ".vertices");
            EXPECT_TRUE(torch::equal(mesh.faces, fixture.tensor(prefix + ".faces"))) << prefix;
            if (grid.attributes.defined()) fixture.expectClose(mesh.attributes, prefix + ".colors");
            fixture.expectClose(mesh.deviation, name + ".L_dev");
            if (!training) continue;
            EXPECT_EQ(mesh.vertices.size(0), description.at("train_vertices").get<std::int64_t>());
            EXPECT_EQ(mesh.faces.size(0), description.at("train_faces").get<std::int64_t>());
            const auto [area, volume] = areaAndVolume(mesh);
            EXPECT_NEAR(area, description.at("area").get<double>(), atol + 10 * rtol * area);
            EXPECT_NEAR(volume, description.at("volume").get<double>(), atol + 10 * rtol * std::abs(volume));
        }
    }
}

TEST(Sam3dFlexiCubes, GradientsAgainstFiniteDifferences) {
    // A bumpy sphere of 4 cubes a side in double precision.
    FlexiCubesGrid grid = wholeGrid(4);
    torch::manual_seed(3);
    const auto axis = torch::linspace(-1, 1, 5, torch::kDouble);
    const auto mesh = torch::meshgrid({axis, axis, axis}, "ij");
    const auto points = torch::stack({mesh[0], mesh[1], mesh[2]}, -1).reshape({-1, 3});
    const std::int64_t cubes = grid.cubes.size(0), corners = points.size(0);
    std::vector<torch::Tensor> inputs{points.norm(2, 1) - 0.7 + 0.1 * torch::randn({corners}, torch::kDouble),
                                      points + 0.02 * torch::randn({corners, 3}, torch::kDouble),
                                      0.3 * torch::randn({cubes, 12}, torch::kDouble),
                                      0.3 * torch::randn({cubes, 8}, torch::kDouble),
                                      0.3 * torch::randn({cubes}, torch::kDouble),
                                      torch::randn({corners, 2}, torch::kDouble)};
    torch::Tensor weights;
    const auto value = [&](const std::vector<torch::Tensor>& x) {
        grid.distance = x[0];
        grid.positions = x[1];
        grid.beta = x[2];
        grid.alpha = x[3];
        grid.gamma = x[4];
        grid.attributes = x[5];
        const FlexiCubesMesh made = flexiCubes(grid, true);
        const auto all = torch::cat({made.vertices, made.attributes}, 1);
        if (!weights.defined()) weights = torch::randn_like(all);
        return (all * weights).sum() + made.deviation.sum();
    };
    for (auto& input : inputs) input.requires_grad_();
    const auto gradients = torch::autograd::grad({value(inputs)}, inputs);
    torch::NoGradGuard noGradient;
    constexpr double kStep = 1e-6;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        // Along a few random directions that keep every sign.
        for (int trial = 0; trial < 3; ++trial) {
            const auto direction = torch::randn_like(inputs[i]);
            auto ahead = inputs, behind = inputs;
            ahead[i] = inputs[i] + kStep * direction;
            behind[i] = inputs[i] - kStep * direction;
            const double slope = (value(ahead) - value(behind)).item<double>() / (2 * kStep);
            const double expected = (gradients[i] * direction).sum().item<double>();
            EXPECT_NEAR(slope, expected, 1e-5 * std::max(1.0, std::abs(expected))) << "input " << i;
        }
    }
}

}  // namespace
}  // namespace medseg
