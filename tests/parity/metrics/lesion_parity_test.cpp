#include <algorithm>

#include "medseg/metrics/detection.h"
#include "metric_fixtures.h"

namespace medseg {
namespace {

using nlohmann::json;
using test::expectValue;

constexpr double kTolerance = 1e-12;

std::vector<std::int64_t> descending(std::vector<std::int64_t> values) {
    std::sort(values.rbegin(), values.rend());
    return values;
}

void expectLesions(const LesionOverlap& overlap, const json& expected, const std::string& name) {
    EXPECT_EQ(overlap.referenceVoxels.size(), expected.at("n_gt").get<std::size_t>()) << name;
    EXPECT_EQ(overlap.predictionVoxels.size(), expected.at("n_pred").get<std::size_t>()) << name;
    EXPECT_EQ(descending(overlap.referenceVoxels), expected.at("sizes_gt_sorted").get<std::vector<std::int64_t>>())
        << name;
    EXPECT_EQ(descending(overlap.predictionVoxels), expected.at("sizes_pred_sorted").get<std::vector<std::int64_t>>())
        << name;
    EXPECT_EQ(overlap.touchedReferences(), expected.at("any_overlap").at("gt_detected").get<std::int64_t>()) << name;
    EXPECT_EQ(overlap.touchedPredictions(), expected.at("any_overlap").at("pred_matching").get<std::int64_t>()) << name;
    std::vector<double> ious;
    for (const LesionPair& pair : overlap.pairs) ious.push_back(pair.iou);
    std::sort(ious.rbegin(), ious.rend());
    const json& expectedIous = expected.at("positive_ious_sorted");
    ASSERT_EQ(ious.size(), expectedIous.size()) << name;
    for (std::size_t i = 0; i < ious.size(); ++i) expectValue(ious[i], expectedIous[i], kTolerance, name + " IoU");

    for (const auto& [threshold, values] : expected.at("thresholds").items()) {
        const LesionMatches matches = matchLesions(overlap, std::stod(threshold));
        const std::string what = name + " at " + threshold;
        EXPECT_EQ(matches.truePositives, values.at("tp").get<std::int64_t>()) << what;
        EXPECT_EQ(matches.falsePositives, values.at("fp").get<std::int64_t>()) << what;
        EXPECT_EQ(matches.falseNegatives, values.at("fn").get<std::int64_t>()) << what;
        EXPECT_EQ(maximumMatches(overlap, std::stod(threshold)), values.at("tp_hungarian").get<std::int64_t>()) << what;
        expectValue(matches.precision(), values.at("precision"), kTolerance, what + " precision");
        expectValue(matches.recall(), values.at("recall"), kTolerance, what + " recall");
        expectValue(matches.f1(), values.at("f1"), kTolerance, what + " F1");
        expectValue(matches.meanIou(), values.at("mean_iou_matched"), kTolerance, what + " mean IoU");
        expectValue(matches.panopticQuality(), values.at("panoptic_quality"), kTolerance, what + " PQ");
    }
}

TEST(LesionParity, BinaryCases) {
    MEDSEG_METRIC_CASES(cases, "binary_cases.json");
    for (const json& entry : cases) {
        if (!entry.contains("lesions")) continue;
        // In memory order, because ties go to the lesion whose first voxel comes first in the fixture's arrays.
        const auto pair = test::readPair(entry, false);
        const Confusion confusion = confusionOf(pair.reference, pair.prediction, true);
        const StructureView reference{&pair.reference, 1, confusion.referenceBox(1)};
        const StructureView prediction{&pair.prediction, 1, confusion.predictionBox(1)};
        const std::string name = entry.at("case");
        expectLesions(lesionOverlap(reference, prediction, LesionConnectivity::Full), entry.at("lesions").at("full"),
                      name + " full");
        expectLesions(lesionOverlap(reference, prediction, LesionConnectivity::Face), entry.at("lesions").at("face"),
                      name + " face");
    }
}

}  // namespace
}  // namespace medseg
