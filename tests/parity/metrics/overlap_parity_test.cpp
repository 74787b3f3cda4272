#include <set>

#include "medseg/metrics/overlap.h"
#include "metric_fixtures.h"

namespace medseg {
namespace {

using nlohmann::json;
using test::expectValue;
using test::readPair;

constexpr double kRatioTolerance = 1e-12;

void expectOverlap(const OverlapCounts& counts, const LabelMap& map, bool isFlat, const json& expected,
                   const std::string& name) {
    EXPECT_EQ(counts.reference, expected.at("n_gt").get<std::int64_t>()) << name;
    EXPECT_EQ(counts.prediction, expected.at("n_pred").get<std::int64_t>()) << name;
    EXPECT_EQ(counts.truePositives(), expected.at("tp").get<std::int64_t>()) << name;
    EXPECT_EQ(counts.falsePositives(), expected.at("fp").get<std::int64_t>()) << name;
    EXPECT_EQ(counts.falseNegatives(), expected.at("fn").get<std::int64_t>()) << name;
    EXPECT_EQ(counts.trueNegatives(), expected.at("tn").get<std::int64_t>()) << name;
    const auto ratio = [&](double actual, const char* key) {
        expectValue(actual, expected.at(key), kRatioTolerance, name + " " + key, kRatioTolerance);
    };
    ratio(diceScore(counts), "dice");
    ratio(iouScore(counts), "iou");
    ratio(diceScore(counts, BothEmpty::One), "dice_both_empty_is_1");
    ratio(iouScore(counts, BothEmpty::One), "iou_both_empty_is_1");
    ratio(diceWithEpsilon(counts), "dice_totalseg_eps");
    ratio(sensitivity(counts), "sensitivity");
    ratio(specificity(counts), "specificity");
    ratio(precision(counts), "precision");
    ratio(negativePredictiveValue(counts), "npv");
    ratio(accuracy(counts), "accuracy");
    ratio(relativeVolumeDifference(counts), "relative_volume_error");
    ratio(volumetricSimilarity(counts), "volumetric_similarity");
    const double voxel = map.geometry().voxelVolume();
    const bool isArea = expected.at("volume_unit") == "mm2";
    EXPECT_EQ(isArea, isFlat) << name;
    const auto volume = [&](std::int64_t voxels) {
        return isArea ? static_cast<double>(voxels) * voxel : voxelsToMillilitres(voxels, voxel);
    };
    ratio(volume(counts.reference), "volume_gt");
    ratio(volume(counts.prediction), "volume_pred");
}

TEST(OverlapParity, BinaryCases) {
    MEDSEG_METRIC_CASES(cases, "binary_cases.json");
    for (const json& entry : cases) {
        const auto pair = readPair(entry);
        const Confusion confusion = confusionOf(pair.reference, pair.prediction);
        expectOverlap(confusion.counts(1), pair.reference, pair.isFlat, entry.at("overlap"), entry.at("case"));
    }
}

TEST(OverlapParity, MultiLabelCases) {
    MEDSEG_METRIC_CASES(cases, "multilabel_cases.json");
    for (const json& entry : cases) {
        const std::string name = entry.at("case");
        const auto pair = readPair(entry);
        const Confusion confusion = confusionOf(pair.reference, pair.prediction);
        EXPECT_EQ(confusion.referenceIds().size(), entry.at("n_labels_gt").get<std::size_t>()) << name;
        EXPECT_EQ(confusion.predictionIds().size(), entry.at("n_labels_pred").get<std::size_t>()) << name;
        EXPECT_EQ(confusion.allIds().size(), entry.at("n_labels_union").get<std::size_t>()) << name;

        double dice = 0, diceInReference = 0;
        for (const int id : confusion.allIds()) {
            const OverlapCounts counts = confusion.counts(id);
            expectOverlap(counts, pair.reference, pair.isFlat,
                          entry.at("per_label").at(std::to_string(id)).at("overlap"), name + " " + std::to_string(id));
            dice += diceScore(counts);
            if (counts.reference > 0) diceInReference += diceScore(counts);
        }
        EXPECT_EQ(entry.at("per_label").size(), confusion.allIds().size()) << name;
        expectValue(dice / static_cast<double>(confusion.allIds().size()), entry.at("mean_dice_union"), 1e-12, name);
        expectValue(diceInReference / static_cast<double>(confusion.referenceIds().size()),
                    entry.at("mean_dice_labels_in_gt"), 1e-12, name);
        expectValue(diceScore(confusion.pooledCounts()), entry.at("micro_dice"), 1e-12, name);

        std::set<std::array<std::int64_t, 3>> expected, actual;
        std::int64_t equal = 0, total = 0;
        for (const json& cell : entry.at("confusion_nonzero_gt_pred_count"))
            expected.insert(cell.get<std::array<std::int64_t, 3>>());
        for (const ConfusionCell& cell : confusion.cells()) {
            actual.insert({cell.reference, cell.prediction, cell.voxels});
            total += cell.voxels;
            if (cell.reference == cell.prediction) equal += cell.voxels;
        }
        EXPECT_EQ(actual, expected) << name;
        expectValue(static_cast<double>(equal) / static_cast<double>(total), entry.at("voxel_accuracy"), 1e-12, name);
    }
}

}  // namespace
}  // namespace medseg
