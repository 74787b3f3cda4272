#include "medseg/imaging/distance.h"
#include "medseg/imaging/points.h"
#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

Volume<std::uint8_t> maskOf(const Entry& entry) {
    const NpyArray array = entry.input(0);
    const auto dimensions = static_cast<int>(array.shape.size());
    const Vec3 spacing =
        entry.params().contains("sampling") ? perAxis(entry.params().at("sampling"), dimensions, 1) : Vec3{1, 1, 1};
    return volumeOf<std::uint8_t>(array, spacing);
}

const Registration euclidean("distance_transform_edt", [](const Entry& entry) {
    const auto mask = maskOf(entry);
    const auto exact = distanceToZero<double>(mask);
    expectNear(exact, entry.output("distance"), entry.tolerance());
    expectNear(distanceToZero<float>(mask), entry.output("distance"), {0, 2e-7});
});

const Registration bothSides("signed_distance", [](const Entry& entry) {
    expectNear(signedDistance<double>(maskOf(entry)), entry.output("distance"), entry.tolerance());
});

const Registration grid("distance_transform_cdt", [](const Entry& entry) {
    const std::string name = entry.params().at("metric");
    ASSERT_TRUE(name == "chessboard" || name == "taxicab") << name;
    const GridMetric metric = name == "chessboard" ? GridMetric::Chessboard : GridMetric::Taxicab;
    expectNear(gridDistanceToZero(maskOf(entry), metric), entry.output("distance"), entry.tolerance());
});

std::vector<Vec3> pointsOf(const NpyArray& array) {
    const auto values = array.toDoubles();
    std::vector<Vec3> points(values.size() / 3);
    for (std::size_t i = 0; i < values.size(); ++i) points[i / 3][i % 3] = values[i];
    return points;
}

const Registration chamfer("chamfer", [](const Entry& entry) {
    const auto x = pointsOf(entry.input(0)), y = pointsOf(entry.input(1));
    const auto distances = pointSetDistance(x, y);
    const double allowed = entry.tolerance().absolute;
    expectNear(distances.aToB, entry.output("d_x_to_y").toDoubles(), entry.tolerance());
    expectNear(distances.bToA, entry.output("d_y_to_x").toDoubles(), entry.tolerance());
    const auto& expected = entry.expected();
    EXPECT_NEAR(chamferDistance(distances, Chamfer::SumOfMeanSquares), expected.at("sum_mean_squared"), allowed);
    EXPECT_NEAR(chamferDistance(distances, Chamfer::SumOfMeans), expected.at("sum_mean_unsquared"), allowed);
    EXPECT_NEAR(chamferDistance(distances, Chamfer::HalfSumOfMeans), expected.at("half_sum_mean_unsquared"), allowed);
    EXPECT_NEAR(chamferDistance(distances, Chamfer::MeanAToB), expected.at("x_to_y_mean"), allowed);
    EXPECT_NEAR(hausdorffDistance(distances), expected.at("hausdorff"), allowed);
    for (const auto& [threshold, score] : expected.at("fscore_strict_less").items()) {
        const PointFScore actual = pointFScore(distances, std::stod(threshold));
        EXPECT_NEAR(actual.precision, score.at("precision_x_near_y"), allowed) << threshold;
        EXPECT_NEAR(actual.recall, score.at("recall_y_near_x"), allowed) << threshold;
        EXPECT_NEAR(actual.fScore, score.at("fscore"), allowed) << threshold;
    }
});

}  // namespace
}  // namespace medseg::parity
