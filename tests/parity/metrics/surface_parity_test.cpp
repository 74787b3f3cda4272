#include <regex>

#include "medseg/metrics/surface.h"
#include "metric_fixtures.h"

namespace medseg {
namespace {

using nlohmann::json;
using test::expectValue;
using test::readPair;

constexpr double kDeepMindTolerance = 1e-9;
constexpr double kMonaiTolerance = 1e-5;

/// "surface_dice_2mm" -> 2 for prefix "surface_dice_" and suffix "mm"; NaN if the key has another form.
double numberInKey(const std::string& key, const std::string& prefix, const std::string& suffix) {
    std::smatch match;
    if (std::regex_match(key, match, std::regex(prefix + "([0-9.]+)" + suffix))) return std::stod(match[1]);
    return std::nan("");
}

void expectDeepMind(const SurfaceDistances& distances, const json& expected, const std::string& name) {
    for (const auto& [key, value] : expected.items()) {
        const std::string what = name + " deepmind " + key;
        const auto expectNumber = [&](double actual) { expectValue(actual, value, kDeepMindTolerance, what, 1e-12); };
        if (key == "asd_gt_to_pred") {
            expectNumber(distances.averageFromReference());
        } else if (key == "asd_pred_to_gt") {
            expectNumber(distances.averageFromPrediction());
        } else if (key == "max_distance_gt_to_pred") {
            expectNumber(distances.fromReference.largest());
        } else if (key == "max_distance_pred_to_gt") {
            expectNumber(distances.fromPrediction.largest());
        } else if (key == "n_surfels_gt") {
            expectNumber(static_cast<double>(distances.fromReference.count()));
        } else if (key == "n_surfels_pred") {
            expectNumber(static_cast<double>(distances.fromPrediction.count()));
        } else if (key == "area_gt") {
            expectNumber(distances.fromReference.totalWeight());
        } else if (key == "area_pred") {
            expectNumber(distances.fromPrediction.totalWeight());
        } else if (key == "assd_area_weighted_pooled") {
            expectNumber(distances.averageSymmetric());
        } else if (key == "assd_mean_of_both") {
            expectNumber(distances.meanOfAverages());
        } else if (key == "robust_hd95_at_94.9999999_95.0000001") {
            expectValue(distances.hausdorff(94.9999999), value.at(0), kDeepMindTolerance, what);
            expectValue(distances.hausdorff(95.0000001), value.at(1), kDeepMindTolerance, what);
        } else if (const double percent = numberInKey(key, "robust_hd", ""); !std::isnan(percent)) {
            expectNumber(distances.hausdorff(percent));
        } else if (const double dice = numberInKey(key, "surface_dice_", "mm"); !std::isnan(dice)) {
            expectNumber(distances.surfaceDice(dice));
        } else if (const double overlap = numberInKey(key, "surface_overlap_", "mm"); !std::isnan(overlap)) {
            expectValue(distances.overlapOfReference(overlap), value.at(0), kDeepMindTolerance, what, 1e-12);
            expectValue(distances.overlapOfPrediction(overlap), value.at(1), kDeepMindTolerance, what, 1e-12);
        } else {
            ADD_FAILURE() << what << ": no such quantity is compared";
        }
    }
}

void expectMonai(const SurfaceDistances& distances, const SurfaceDistances& deepMind, const json& expected,
                 const std::string& name) {
    for (const auto& [key, value] : expected.items()) {
        const std::string what = name + " monai " + key;
        const auto expectNumber = [&](double actual) { expectValue(actual, value, kMonaiTolerance, what, 1e-6); };
        // A directed percentile next to an empty mask follows the symmetric one.
        const bool isOneEmpty = distances.fromReference.empty() != distances.fromPrediction.empty();
        const auto directed = [&](const DirectedDistances& one, double percent) {
            return isOneEmpty ? distances.hausdorff(percent) : one.interpolatedPercentile(percent);
        };
        if (key == "asd_pred_to_gt") {
            expectNumber(distances.averageFromPrediction());
        } else if (key == "asd_gt_to_pred") {
            expectNumber(distances.averageFromReference());
        } else if (key == "assd_symmetric_pooled") {
            expectNumber(distances.averageSymmetric());
        } else if (const double both = numberInKey(key, "hausdorff_", ""); !std::isnan(both)) {
            expectNumber(distances.hausdorff(both));
        } else if (const double back = numberInKey(key, "hausdorff_", "_directed_pred_to_gt"); !std::isnan(back)) {
            expectNumber(directed(distances.fromPrediction, back));
        } else if (const double there = numberInKey(key, "hausdorff_", "_directed_gt_to_pred"); !std::isnan(there)) {
            expectNumber(directed(distances.fromReference, there));
        } else if (const double dice = numberInKey(key, "surface_dice_", "mm"); !std::isnan(dice)) {
            expectNumber(distances.surfaceDice(dice));
        } else if (const double fine = numberInKey(key, "surface_dice_", "mm_subvoxel"); !std::isnan(fine)) {
            expectNumber(deepMind.surfaceDice(fine));
        } else {
            ADD_FAILURE() << what << ": no such quantity is compared";
        }
    }
}

void expectMedpy(const SurfaceDistances& distances, const json& expected, const std::string& name) {
    for (const auto& [key, value] : expected.items()) {
        const std::string what = name + " medpy " + key;
        const auto expectNumber = [&](double actual) { expectValue(actual, value, kDeepMindTolerance, what, 1e-12); };
        if (key == "note") continue;
        if (key == "hd") {
            expectNumber(distances.hausdorff(100));
        } else if (const double percent = numberInKey(key, "hd", ""); !std::isnan(percent)) {
            expectNumber(distances.hausdorff(percent));
        } else if (key == "asd_pred_to_gt") {
            expectNumber(distances.averageFromPrediction());
        } else if (key == "asd_gt_to_pred") {
            expectNumber(distances.averageFromReference());
        } else if (key == "assd") {
            expectNumber(distances.meanOfAverages());
        } else if (key == "n_border_gt") {
            expectNumber(static_cast<double>(distances.fromReference.count()));
        } else if (key == "n_border_pred") {
            expectNumber(static_cast<double>(distances.fromPrediction.count()));
        } else {
            ADD_FAILURE() << what << ": no such quantity is compared";
        }
    }
}

void expectAllDefinitions(const test::MaskPair& pair, int id, const json& expected, const std::string& name) {
    const auto measure = [&](SurfaceDefinition definition) {
        return surfaceDistances(pair.reference, pair.prediction, id, pair.isFlat, definition);
    };
    const SurfaceDistances deepMind = measure(SurfaceDefinition::DeepMind);
    expectDeepMind(deepMind, expected.at("deepmind"), name);
    expectMonai(measure(SurfaceDefinition::Monai), deepMind, expected.at("monai"), name);
    expectMedpy(measure(SurfaceDefinition::Medpy), expected.at("medpy_style"), name);
}

TEST(SurfaceParity, BinaryCases) {
    MEDSEG_METRIC_CASES(cases, "binary_cases.json");
    for (const json& entry : cases) expectAllDefinitions(readPair(entry), 1, entry, entry.at("case"));
}

TEST(SurfaceParity, MultiLabelCases) {
    MEDSEG_METRIC_CASES(cases, "multilabel_cases.json");
    for (const json& entry : cases) {
        const auto pair = readPair(entry);
        double surfaceDice = 0;
        int labelsInReference = 0;
        for (const auto& [id, expected] : entry.at("per_label").items()) {
            const std::string name = entry.at("case").get<std::string>() + " " + id;
            expectAllDefinitions(pair, std::stoi(id), expected, name);
            if (expected.at("overlap").at("n_gt") == 0) continue;
            surfaceDice += surfaceDistances(pair.reference, pair.prediction, std::stoi(id)).surfaceDice(1);
            ++labelsInReference;
        }
        expectValue(surfaceDice / labelsInReference, entry.at("mean_deepmind_surface_dice_1mm_labels_in_gt"), 1e-9,
                    entry.at("case"));
    }
}

}  // namespace
}  // namespace medseg
