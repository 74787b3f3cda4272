#include "medseg/metrics/reconstruction_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <nlohmann/json.hpp>

#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/points.h"
#include "medseg/metrics/aggregation.h"
#include "medseg/metrics/surface.h"

namespace medseg {
namespace {

constexpr double kPercentile = 95;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

LabelMap binaryMap(const Volume<std::uint8_t>& mask) {
    Volume<std::uint8_t> copy(mask.geometry());
    for (std::int64_t i = 0; i < mask.voxelCount(); ++i) copy.data()[i] = mask.data()[i] != 0 ? 1 : 0;
    return LabelMap(std::move(copy));
}

std::vector<Vec3> surfaceVertices(const LabelMap& map) {
    std::vector<Vec3> points;
    for (const LabelMesh& surface : extractLabelSurfaces(map))
        for (const auto& vertex : surface.mesh.vertices) points.push_back({vertex[0], vertex[1], vertex[2]});
    return points;
}

/// Infinite values have no place in JSON.
nlohmann::ordered_json number(double value) {
    if (std::isnan(value)) return nullptr;
    if (std::isinf(value)) return "inf";
    return value;
}

nlohmann::ordered_json statisticsJson(const std::vector<const ScoredObject*>& objects) {
    nlohmann::ordered_json json;
    const auto& definitions = scoreDefinitions();
    for (std::size_t i = 0; i < definitions.size(); ++i) {
        std::vector<double> values;
        for (const ScoredObject* object : objects) values.push_back(scoreValues(object->scores)[i]);
        const SampleStatistics statistics = statisticsOf(values);
        json[definitions[i].name] = {
            {"mean", number(statistics.mean)},     {"std", number(statistics.populationStandardDeviation)},
            {"median", number(statistics.median)}, {"min", number(statistics.minimum)},
            {"max", number(statistics.maximum)},   {"count", statistics.count},
            {"infinite", statistics.countInfinite}};
    }
    return json;
}

}  // namespace

ReconstructionScores scoreReconstruction(const Volume<std::uint8_t>& reference,
                                         const Volume<std::uint8_t>& prediction) {
    const LabelMap a = binaryMap(reference), b = binaryMap(prediction);
    ReconstructionScores scores;
    scores.dice = diceScore(confusionOf(a, b).counts(1), BothEmpty::One);
    const SurfaceDistances areas = surfaceDistances(a, b, 1);
    const SurfaceDistances voxels = surfaceDistances(a, b, 1, false, SurfaceDefinition::Monai);
    const bool oneMissing = voxels.fromReference.empty() != voxels.fromPrediction.empty();
    scores.hd95 = oneMissing ? kInfinity : voxels.hausdorff(kPercentile);
    if (voxels.bothEmpty()) {
        scores.hd95AreaWeighted = scores.chamfer = scores.chamferMean = scores.surfaceDice1mm =
            scores.surfaceDiceVoxel = std::numeric_limits<double>::quiet_NaN();
        return scores;
    }
    scores.hd95AreaWeighted = areas.hausdorff(kPercentile);
    const Vec3 spacing = reference.geometry().spacing();
    scores.surfaceDice1mm = areas.surfaceDice(1.0);
    scores.surfaceDiceVoxel = areas.surfaceDice(*std::max_element(spacing.begin(), spacing.end()));
    if (oneMissing) {
        scores.chamfer = scores.chamferMean = kInfinity;
        return scores;
    }
    const PointSetDistance distances = pointSetDistance(surfaceVertices(a), surfaceVertices(b));
    scores.chamfer = chamferDistance(distances, Chamfer::SumOfMeanSquares);
    scores.chamferMean = chamferDistance(distances, Chamfer::HalfSumOfMeans);
    return scores;
}

const std::vector<ScoreDefinition>& scoreDefinitions() {
    static const std::vector<ScoreDefinition> definitions{
        {"dice", "2 |A and B| / (|A| + |B|); 1 when both are empty"},
        {"hd95",
         "mm; border voxels (mask minus its erosion by face neighbours), linear 95th percentile of each "
         "direction, the larger one (MONAI)"},
        {"hd95_area_weighted", "mm; surface elements weighted by area (google-deepmind/surface-distance)"},
        {"chamfer",
         "mm^2; mean squared distance between the vertices of the marching-cubes surfaces, reference to "
         "prediction plus back"},
        {"chamfer_mean", "mm; mean of the two mean distances"},
        {"surface_dice_1mm", "share of both surfaces within 1 mm of each other (google-deepmind/surface-distance)"},
        {"surface_dice_voxel", "the same within one voxel (largest spacing)"}};
    return definitions;
}

std::vector<double> scoreValues(const ReconstructionScores& scores) {
    return {scores.dice,        scores.hd95,           scores.hd95AreaWeighted, scores.chamfer,
            scores.chamferMean, scores.surfaceDice1mm, scores.surfaceDiceVoxel};
}

nlohmann::ordered_json scoresToJson(const std::vector<ScoredObject>& objects, bool withCases) {
    std::vector<const ScoredObject*> all;
    std::map<int, std::vector<const ScoredObject*>> byLabel;
    for (const ScoredObject& object : objects) {
        all.push_back(&object);
        byLabel[object.label].push_back(&object);
    }
    nlohmann::ordered_json json;
    json["overall"] = statisticsJson(all);
    for (const auto& [label, own] : byLabel) json["per_label"][std::to_string(label)] = statisticsJson(own);
    if (!withCases) return json;
    json["cases"] = nlohmann::ordered_json::array();
    for (const ScoredObject& object : objects) {
        nlohmann::ordered_json entry{{"case", object.caseId}, {"label", object.label}};
        const std::vector<double> values = scoreValues(object.scores);
        for (std::size_t i = 0; i < values.size(); ++i) entry[scoreDefinitions()[i].name] = number(values[i]);
        json["cases"].push_back(std::move(entry));
    }
    return json;
}

}  // namespace medseg
