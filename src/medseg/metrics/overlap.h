// How far two segmentations overlap: every label, both volumes, one pass over memory.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// Axis-aligned range of voxels, `last` not included. Empty boxes have first >= last.
struct IndexBox {
    Index3 first{INT64_MAX, INT64_MAX, INT64_MAX};
    Index3 last{0, 0, 0};

    bool empty() const { return first[0] >= last[0] || first[1] >= last[1] || first[2] >= last[2]; }
    /// Smallest box that holds both.
    IndexBox unitedWith(const IndexBox& other) const;
};

/// Voxel counts of one structure in reference and prediction.
struct OverlapCounts {
    std::int64_t reference = 0;     ///< voxels of the structure in the reference
    std::int64_t prediction = 0;    ///< voxels of the structure in the prediction
    std::int64_t intersection = 0;  ///< voxels of the structure in both
    std::int64_t total = 0;         ///< voxels of the volume

    std::int64_t truePositives() const { return intersection; }
    std::int64_t falsePositives() const { return prediction - intersection; }
    std::int64_t falseNegatives() const { return reference - intersection; }
    std::int64_t trueNegatives() const { return total - reference - prediction + intersection; }
};

/// What Dice and IoU of two empty masks are. NaN is DeepMind's and nnU-Net's reading (and is left out of means); One is
/// that of the FLARE22 and MedSAM2 scoring scripts. One mask empty and the other not is 0 in both.
enum class BothEmpty { NaN, One };

/// Ratios of counts; 0/0 is NaN unless said otherwise.
double diceScore(const OverlapCounts& counts, BothEmpty convention = BothEmpty::NaN);  ///< 2TP / (2TP + FP + FN)
double iouScore(const OverlapCounts& counts, BothEmpty convention = BothEmpty::NaN);   ///< TP / (TP + FP + FN)
double sensitivity(const OverlapCounts& counts);                                       ///< TP / (TP + FN), recall
double specificity(const OverlapCounts& counts);                                       ///< TN / (TN + FP)
double precision(const OverlapCounts& counts);                                         ///< TP / (TP + FP)
double negativePredictiveValue(const OverlapCounts& counts);                           ///< TN / (TN + FN)
double accuracy(const OverlapCounts& counts);                                          ///< (TP + TN) / all
/// (prediction - reference) / reference: positive when the prediction is too large; NaN without a reference.
double relativeVolumeDifference(const OverlapCounts& counts);
/// 1 - |FN - FP| / (2TP + FP + FN).
double volumetricSimilarity(const OverlapCounts& counts);
/// TotalSegmentator's evaluation script: 2TP / (2TP + FP + FN + 1e-6), 0 where both are empty.
double diceWithEpsilon(const OverlapCounts& counts);

/// `voxels` counted in ml: count x voxel volume (mm^3) / 1000.
double voxelsToMillilitres(std::int64_t voxels, double voxelVolume);

/// One cell of the confusion matrix.
struct ConfusionCell {
    int reference = 0;
    int prediction = 0;
    std::int64_t voxels = 0;

    bool operator==(const ConfusionCell&) const = default;
};

/// The confusion matrix of two label maps, and where their labels lie.
class Confusion {
  public:
    Confusion(std::vector<ConfusionCell> cells, std::vector<IndexBox> referenceBoxes,
              std::vector<IndexBox> predictionBoxes);

    /// Non-zero cells in ascending (reference, prediction), background included.
    const std::vector<ConfusionCell>& cells() const { return cells_; }
    /// Label ids with at least one voxel, ascending, without background.
    std::vector<int> referenceIds() const;
    std::vector<int> predictionIds() const;
    /// Ids in either map.
    std::vector<int> allIds() const;

    /// Counts of a structure that is `referenceId` in one map and `predictionId` in the other; 0 or below stands for a
    /// structure that the map does not have.
    OverlapCounts counts(int referenceId, int predictionId) const;
    OverlapCounts counts(int id) const { return counts(id, id); }
    /// Every label present in either map, summed: the counts behind micro-averaged Dice.
    OverlapCounts pooledCounts() const;

    /// Where a label lies; empty if absent or if measured without boxes.
    IndexBox referenceBox(int id) const { return boxAt(referenceBoxes_, id); }
    IndexBox predictionBox(int id) const { return boxAt(predictionBoxes_, id); }

  private:
    static IndexBox boxAt(const std::vector<IndexBox>& boxes, int id);

    std::vector<ConfusionCell> cells_;
    std::vector<std::int64_t> referenceVoxels_;   // by id
    std::vector<std::int64_t> predictionVoxels_;  // by id
    std::vector<std::int64_t> sharedVoxels_;      // by id
    std::vector<IndexBox> referenceBoxes_;        // by id, or empty
    std::vector<IndexBox> predictionBoxes_;
    std::int64_t total_ = 0;
};

/// Counts every pair of labels in one parallel pass. With `withBoxes` also the bounding box of every label, which the
/// surface metrics need. Extra memory: 512 KiB a thread for 8-bit maps, one hash table of the pairs that occur else.
/// Throws DataError unless both maps have the same size.
Confusion confusionOf(const LabelMap& reference, const LabelMap& prediction, bool withBoxes = false);

}  // namespace medseg
