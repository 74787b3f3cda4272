// Lesion-wise detection: which separate pieces of a structure were found.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/metrics/surface.h"

namespace medseg {

/// Which voxels belong to one lesion: those that touch at faces, edges or corners (26 neighbours, 8 in 2D), or at faces
/// only (6, 4 in 2D).
enum class LesionConnectivity { Full, Face };

/// A lesion of the reference and one of the prediction that share voxels.
struct LesionPair {
    std::int32_t reference = 0;   ///< index into LesionOverlap::referenceVoxels
    std::int32_t prediction = 0;  ///< index into LesionOverlap::predictionVoxels
    std::int64_t voxels = 0;      ///< shared
    double iou = 0;
};

/// All lesions of both sides, in the order of their first voxels (x fastest), and how they overlap.
struct LesionOverlap {
    std::vector<std::int64_t> referenceVoxels;
    std::vector<std::int64_t> predictionVoxels;
    std::vector<LesionPair> pairs;  ///< by (reference, prediction)

    std::int64_t touchedReferences() const;   ///< reference lesions with at least one predicted voxel
    std::int64_t touchedPredictions() const;  ///< predicted lesions with at least one reference voxel
};

/// Components inside the joint bounding box. Memory beyond input: 1 to 5 bytes a voxel of the box and 24 bytes a run.
LesionOverlap lesionOverlap(const StructureView& reference, const StructureView& prediction,
                            LesionConnectivity connectivity = LesionConnectivity::Full);

/// One-to-one matches at an IoU threshold.
struct LesionMatches {
    std::int64_t truePositives = 0;
    std::int64_t falsePositives = 0;
    std::int64_t falseNegatives = 0;
    double sumOfIou = 0;  ///< of the matches

    double precision() const;        ///< NaN without predicted lesions
    double recall() const;           ///< NaN without reference lesions
    double f1() const;               ///< NaN without any
    double meanIou() const;          ///< of the matches; NaN without
    double panopticQuality() const;  ///< sum of IoU / (TP + FP/2 + FN/2) (Kirillov et al. 2019); NaN without any lesion
};

/// Greedy: best IoU first, ties by smaller reference index, then smaller prediction index; accepted from `threshold`
/// on.
LesionMatches matchLesions(const LesionOverlap& overlap, double threshold);

/// The largest number of one-to-one matches with IoU >= threshold (maximum bipartite matching).
std::int64_t maximumMatches(const LesionOverlap& overlap, double threshold);

}  // namespace medseg
