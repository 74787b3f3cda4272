// The metrics that `medseg evaluate` knows, by name.
#pragma once

#include <string>
#include <vector>

namespace medseg {

enum class MetricKind {
    Dice,
    Iou,
    Sensitivity,
    Specificity,
    Precision,
    NegativePredictiveValue,
    Accuracy,
    ReferenceVolume,
    PredictionVolume,
    VolumeDifference,
    RelativeVolumeDifference,
    VolumetricSimilarity,
    HausdorffPercentile,  ///< parameter: percentile, 0..100
    AverageDistanceFromReference,
    AverageDistanceFromPrediction,
    AverageSymmetricDistance,    ///< over both surfaces together
    MeanOfAverageDistances,      ///< mean of the two directed averages
    SurfaceDice,                 ///< parameter: tolerance in mm
    SurfaceOverlapOfReference,   ///< parameter: tolerance in mm
    SurfaceOverlapOfPrediction,  ///< parameter: tolerance in mm
    Chamfer,                     ///< mean squared distance, both directions added, mm^2
    LesionPrecision,
    LesionRecall,
    LesionF1,
    PanopticQuality,
    ReferenceLesions,
    PredictionLesions,
};

/// One column of the result.
struct Metric {
    MetricKind kind = MetricKind::Dice;
    double parameter = 0;
    std::string name;  ///< as written into CSV and JSON: "dice", "hd95", "nsd_2mm"

    bool needsSurfaces() const { return kind >= MetricKind::HausdorffPercentile && kind <= MetricKind::Chamfer; }
    bool needsLesions() const { return kind >= MetricKind::LesionPrecision; }
    /// +1: more is better, -1: less is better, 0: neither (volumes, counts).
    int direction() const;
};

/// Parses "dice", "hd95", "hd99.5", "nsd" (at `defaultTolerance` mm), "nsd_2mm" ... Throws UsageError naming the
/// nearest known metric.
Metric parseMetric(const std::string& name, double defaultTolerance);

/// Each once, in the given order; "volume" stands for the three volumes in ml, "all" for everything.
std::vector<Metric> parseMetrics(const std::vector<std::string>& names, double defaultTolerance);

/// Names with a line of explanation each, for the help.
std::string describeMetrics();

}  // namespace medseg
