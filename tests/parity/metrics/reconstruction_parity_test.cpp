// The values that the SAM 3D evaluation scripts report: sam3d/07_metrics.
#include <cmath>

#include "medseg/base/error.h"
#include "medseg/imaging/points.h"
#include "medseg/metrics/aggregation.h"
#include "medseg/metrics/surface.h"
#include "metric_fixtures.h"

namespace medseg {
namespace {

using nlohmann::json;
using test::expectValue;
using test::readJson;

class ReconstructionParity : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = test::fixtureFolder() / "sam3d" / "07_metrics";
        if (!std::filesystem::exists(folder_ / "config.json"))
            GTEST_SKIP() << folder_ << " is missing: set MEDSEG_FIXTURES to the fixture folder";
        config_ = readJson(folder_ / "config.json");
        relative_ = config_.at("tolerance").at("rtol");
        absolute_ = config_.at("tolerance").at("atol");
    }
    void expect(double actual, const json& expected, const std::string& what) const {
        expectValue(actual, expected, relative_, what, absolute_);
    }

    std::filesystem::path folder_;
    json config_;
    double relative_ = 0;
    double absolute_ = 0;
};

std::string millimetres(double tolerance) {
    return fmt::format("{}", tolerance);
}

TEST_F(ReconstructionParity, Masks) {
    const json masks = readJson(folder_ / "masks.json");
    const json& hyperparameters = config_.at("hyperparameters");
    for (const std::string name : hyperparameters.at("cases")) {
        const json& expected = masks.at(name);
        const auto spacing = expected.at("spacing").get<std::vector<double>>();
        const NpyArray gt = readNpy(folder_ / (name + ".gt.npy"));
        const LabelMap reference = test::labelsFrom(gt, spacing, true);
        const LabelMap prediction = test::labelsFrom(readNpy(folder_ / (name + ".pred.npy")), spacing, true);
        const bool isFlat = gt.shape.size() == 2;
        // The scripts add 1e-6 to both parts of the Dice quotient.
        const OverlapCounts counts = confusionOf(reference, prediction).counts(1);
        expect(diceScore(counts, BothEmpty::One), expected.at("dice"), name + " Dice");

        const double percentile = hyperparameters.at("percentile");
        const SurfaceDistances areas = surfaceDistances(reference, prediction, 1, isFlat);
        const SurfaceDistances voxels = surfaceDistances(reference, prediction, 1, isFlat, SurfaceDefinition::Monai);
        const bool isEmpty = voxels.fromReference.empty() || voxels.fromPrediction.empty();
        for (const auto& [key, value] : expected.items()) {
            const std::string what = name + " " + key;
            if (key == "hd95_voxel_percentile") {
                expect(isEmpty ? INFINITY : voxels.hausdorff(percentile), value, what);
            } else if (key == "hd95_area_weighted") {
                expect(areas.hausdorff(percentile), value, what);
            } else if (key == "hd100_area_weighted") {
                expect(areas.hausdorff(100), value, what);
            } else if (key == "average_surface_distance_gt_to_pred") {
                expect(areas.averageFromReference(), value, what);
            } else if (key == "average_surface_distance_pred_to_gt") {
                expect(areas.averageFromPrediction(), value, what);
            } else if (key == "surface_area_gt") {
                expect(areas.fromReference.totalWeight(), value, what);
            } else if (key == "surface_area_pred") {
                expect(areas.fromPrediction.totalWeight(), value, what);
            } else if (key == "hd95_monai") {
                expect(voxels.hausdorff(percentile), value, what);
            } else if (key == "surface_dice_1mm_monai_edge_voxels") {
                expect(voxels.surfaceDice(1), value, what);
            }
        }
        for (const double tolerance : hyperparameters.at("tolerances_mm")) {
            const std::string key = "surface_dice_" + millimetres(tolerance) + "mm";
            if (expected.contains(key)) expect(areas.surfaceDice(tolerance), expected.at(key), name + " " + key);
        }
    }
}

TEST_F(ReconstructionParity, PointSets) {
    const auto points = [&](const std::string& name) {
        const NpyArray array = readNpy(folder_ / (name + ".npy"));
        const std::vector<double> values = array.toDoubles();
        std::vector<Vec3> result;
        for (std::size_t i = 0; i + 2 < values.size(); i += 3)
            result.push_back({values[i], values[i + 1], values[i + 2]});
        return result;
    };
    const json sets = readJson(folder_ / "points.json");
    for (const auto& [name, expected] : sets.items()) {
        if (!std::filesystem::exists(folder_ / (name + ".a.npy"))) {
            // The scripts print infinity for an empty set; here it is an error that says so.
            EXPECT_TRUE(std::isinf(test::valueOf(expected.at("chamfer_squared_sum"))));
            EXPECT_THROW(pointSetDistance({}, std::vector<Vec3>{{1, 2, 3}}), DataError);
            continue;
        }
        const PointSetDistance distances = pointSetDistance(points(name + ".a"), points(name + ".b"));
        expect(chamferDistance(distances, Chamfer::SumOfMeanSquares), expected.at("chamfer_squared_sum"), name);
        expect(chamferDistance(distances, Chamfer::HalfSumOfMeans), expected.at("chamfer_l1_mean"), name);
        expect(hausdorffDistance(distances), expected.at("hausdorff"), name);
    }
}

TEST_F(ReconstructionParity, Aggregate) {
    const json expected = readJson(folder_ / "aggregate.json");
    const auto values = expected.at("values").get<std::vector<double>>();
    const SampleStatistics statistics = statisticsOf(values);
    EXPECT_EQ(statistics.count, expected.at("count").get<std::int64_t>());
    expect(statistics.mean, expected.at("mean"), "mean");
    expect(statistics.populationStandardDeviation, expected.at("std_population"), "std");
    expect(statistics.median, expected.at("median"), "median");
    expect(statistics.minimum, expected.at("min"), "min");
    expect(statistics.maximum, expected.at("max"), "max");
    expect(statistics.lowerQuartile, expected.at("q25"), "q25");
    expect(statistics.upperQuartile, expected.at("q75"), "q75");
}

}  // namespace
}  // namespace medseg
