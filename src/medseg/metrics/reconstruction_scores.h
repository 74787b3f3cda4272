// How well a shape was reconstructed: one structure, reference against prediction on the same grid.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "medseg/volume/volume.h"

namespace medseg {

/// Values of one shape. Distances in mm of the grid. Infinite where one surface is missing, Dice 1 and the rest NaN
/// where both are.
struct ReconstructionScores {
    double dice = 0;
    double hd95 = 0;              ///< border voxels, linear percentile, larger of both directions (MONAI)
    double hd95AreaWeighted = 0;  ///< surface elements weighted by area (surface-distance)
    double chamfer = 0;           ///< mean squared distance of surface vertices, both directions added, mm^2
    double chamferMean = 0;       ///< mean of the two mean distances, mm
    double surfaceDice1mm = 0;    ///< share of both surfaces within 1 mm of each other (surface-distance)
    double surfaceDiceVoxel = 0;  ///< the same within the largest spacing of the grid
};

/// Masks: not 0 inside. Throws DataError unless the sizes agree.
ReconstructionScores scoreReconstruction(const Volume<std::uint8_t>& reference, const Volume<std::uint8_t>& prediction);

/// Name and definition of every value, in the order of scoreValues().
struct ScoreDefinition {
    const char* name;
    const char* definition;
};
const std::vector<ScoreDefinition>& scoreDefinitions();
std::vector<double> scoreValues(const ReconstructionScores& scores);

/// One scored shape.
struct ScoredObject {
    std::string caseId;
    int label = 0;
    ReconstructionScores scores;
};

/// {"overall": {metric: {mean, std (population), median, min, max, count}}, "per_label": {...}, "cases": [...]}; means
/// take finite values only and say how many there were.
nlohmann::ordered_json scoresToJson(const std::vector<ScoredObject>& objects, bool withCases);

}  // namespace medseg
