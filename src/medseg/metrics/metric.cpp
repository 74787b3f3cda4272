#include "medseg/metrics/metric.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

struct KnownMetric {
    std::string_view name;
    MetricKind kind;
    int direction;
    std::string_view meaning;
};

constexpr std::array<KnownMetric, 27> kKnownMetrics{{
    {"dice", MetricKind::Dice, 1, "2TP / (2TP + FP + FN)"},
    {"iou", MetricKind::Iou, 1, "TP / (TP + FP + FN), Jaccard"},
    {"sensitivity", MetricKind::Sensitivity, 1, "TP / (TP + FN), recall"},
    {"specificity", MetricKind::Specificity, 1, "TN / (TN + FP)"},
    {"precision", MetricKind::Precision, 1, "TP / (TP + FP)"},
    {"npv", MetricKind::NegativePredictiveValue, 1, "TN / (TN + FN)"},
    {"accuracy", MetricKind::Accuracy, 1, "(TP + TN) / all voxels"},
    {"volume_reference_ml", MetricKind::ReferenceVolume, 0, "ml"},
    {"volume_prediction_ml", MetricKind::PredictionVolume, 0, "ml"},
    {"volume_difference_ml", MetricKind::VolumeDifference, 0, "prediction - reference, ml"},
    {"relative_volume_difference", MetricKind::RelativeVolumeDifference, 0, "(prediction - reference) / reference"},
    {"volumetric_similarity", MetricKind::VolumetricSimilarity, 1, "1 - |FN - FP| / (2TP + FP + FN)"},
    {"hd", MetricKind::HausdorffPercentile, -1, "Hausdorff distance, mm; hd95, hd99.5: at that percentile"},
    {"asd_from_reference", MetricKind::AverageDistanceFromReference, -1, "mean distance reference -> prediction, mm"},
    {"asd_from_prediction", MetricKind::AverageDistanceFromPrediction, -1, "mean distance prediction -> reference, mm"},
    {"assd", MetricKind::AverageSymmetricDistance, -1, "mean distance over both surfaces together, mm"},
    {"masd", MetricKind::MeanOfAverageDistances, -1, "mean of the two directed means, mm"},
    {"nsd", MetricKind::SurfaceDice, 1, "surface Dice at --nsd-tolerance; nsd_2mm: at 2 mm"},
    {"surface_overlap_reference", MetricKind::SurfaceOverlapOfReference, 1,
     "share of the reference's surface within the tolerance; ..._2mm"},
    {"surface_overlap_prediction", MetricKind::SurfaceOverlapOfPrediction, 1, "the same for the prediction's surface"},
    {"chamfer", MetricKind::Chamfer, -1, "mean squared surface distances, both directions added, mm^2"},
    {"lesion_precision", MetricKind::LesionPrecision, 1, "matched / predicted lesions, at --lesion-iou"},
    {"lesion_recall", MetricKind::LesionRecall, 1, "matched / reference lesions"},
    {"lesion_f1", MetricKind::LesionF1, 1, "2TP / (2TP + FP + FN) of lesions"},
    {"panoptic_quality", MetricKind::PanopticQuality, 1, "sum of matched IoU / (TP + FP/2 + FN/2)"},
    {"lesions_reference", MetricKind::ReferenceLesions, 0, "number of lesions"},
    {"lesions_prediction", MetricKind::PredictionLesions, 0, "number of lesions"},
}};

const KnownMetric& knownMetric(MetricKind kind) {
    return *std::find_if(kKnownMetrics.begin(), kKnownMetrics.end(),
                         [&](const KnownMetric& known) { return known.kind == kind; });
}

std::optional<double> parseNumber(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<Metric> parseHausdorff(const std::string& name) {
    if (!name.starts_with("hd")) return std::nullopt;
    const std::optional<double> percentile = name == "hd" ? 100 : parseNumber(std::string_view(name).substr(2));
    if (!percentile) return std::nullopt;
    if (!(*percentile >= 0 && *percentile <= 100))
        throw UsageError(fmt::format("metric \"{}\": the percentile lies between 0 and 100, e.g. hd95", name));
    return Metric{MetricKind::HausdorffPercentile, *percentile, name == "hd" ? "hd100" : name};
}

std::optional<Metric> parseWithTolerance(const std::string& name, double defaultTolerance) {
    for (const MetricKind kind :
         {MetricKind::SurfaceDice, MetricKind::SurfaceOverlapOfReference, MetricKind::SurfaceOverlapOfPrediction}) {
        const std::string base(knownMetric(kind).name);
        if (name == base) return Metric{kind, defaultTolerance, name};
        if (!name.starts_with(base + "_") || !name.ends_with("mm")) continue;
        const std::optional<double> tolerance =
            parseNumber(std::string_view(name).substr(base.size() + 1, name.size() - base.size() - 3));
        if (!tolerance || !(*tolerance >= 0))
            throw UsageError(fmt::format("metric \"{}\": the tolerance is a number of mm, e.g. {}_2mm", name, base));
        return Metric{kind, *tolerance, name};
    }
    return std::nullopt;
}

}  // namespace

int Metric::direction() const {
    return knownMetric(kind).direction;
}

Metric parseMetric(const std::string& name, double defaultTolerance) {
    if (const auto metric = parseHausdorff(name)) return *metric;
    if (const auto metric = parseWithTolerance(name, defaultTolerance)) return *metric;
    std::vector<std::string> names;
    for (const KnownMetric& known : kKnownMetrics) {
        if (known.name == name) return {known.kind, 0, name};
        names.emplace_back(known.name);
    }
    const std::string nearest = nearestWord(name, names);
    throw UsageError(fmt::format("unknown metric \"{}\"{}: `medseg evaluate --help` lists them", name,
                                 nearest.empty() ? "" : fmt::format(", nearest is \"{}\"", nearest)));
}

std::vector<Metric> parseMetrics(const std::vector<std::string>& names, double defaultTolerance) {
    std::vector<Metric> metrics;
    const auto add = [&](const Metric& metric) {
        if (std::none_of(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == metric.name; }))
            metrics.push_back(metric);
    };
    for (const std::string& name : names) {
        if (name == "volume") {
            for (const char* volume : {"volume_reference_ml", "volume_prediction_ml", "volume_difference_ml"})
                add(parseMetric(volume, defaultTolerance));
        } else if (name == "all") {
            for (const KnownMetric& known : kKnownMetrics) add(parseMetric(std::string(known.name), defaultTolerance));
            add(parseMetric("hd95", defaultTolerance));
        } else {
            add(parseMetric(name, defaultTolerance));
        }
    }
    if (metrics.empty()) throw UsageError("no metrics chosen: name at least one, e.g. --metrics dice,iou");
    return metrics;
}

std::string describeMetrics() {
    std::string text;
    for (const KnownMetric& known : kKnownMetrics) text += fmt::format("  {:<27} {}\n", known.name, known.meaning);
    return text;
}

}  // namespace medseg
