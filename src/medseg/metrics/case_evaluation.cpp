#include "medseg/metrics/case_evaluation.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <tbb/parallel_invoke.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/io/image_file.h"
#include "medseg/metrics/detection.h"
#include "medseg/metrics/segment_grid.h"

namespace medseg {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool needBoxes(const std::vector<Metric>& metrics) {
    return std::any_of(metrics.begin(), metrics.end(),
                       [](const Metric& metric) { return metric.needsSurfaces() || metric.needsLesions(); });
}

double overlapValue(const Metric& metric, const OverlapCounts& counts, double voxelVolume, BothEmpty convention) {
    switch (metric.kind) {
        case MetricKind::Dice:
            return diceScore(counts, convention);
        case MetricKind::Iou:
            return iouScore(counts, convention);
        case MetricKind::Sensitivity:
            return sensitivity(counts);
        case MetricKind::Specificity:
            return specificity(counts);
        case MetricKind::Precision:
            return precision(counts);
        case MetricKind::NegativePredictiveValue:
            return negativePredictiveValue(counts);
        case MetricKind::Accuracy:
            return accuracy(counts);
        case MetricKind::ReferenceVolume:
            return voxelsToMillilitres(counts.reference, voxelVolume);
        case MetricKind::PredictionVolume:
            return voxelsToMillilitres(counts.prediction, voxelVolume);
        case MetricKind::VolumeDifference:
            return voxelsToMillilitres(counts.prediction - counts.reference, voxelVolume);
        case MetricKind::RelativeVolumeDifference:
            return relativeVolumeDifference(counts);
        case MetricKind::VolumetricSimilarity:
            return volumetricSimilarity(counts);
        default:
            return kNaN;
    }
}

double surfaceValue(const Metric& metric, const SurfaceDistances& distances) {
    switch (metric.kind) {
        case MetricKind::HausdorffPercentile:
            return distances.hausdorff(metric.parameter);
        case MetricKind::AverageDistanceFromReference:
            return distances.averageFromReference();
        case MetricKind::AverageDistanceFromPrediction:
            return distances.averageFromPrediction();
        case MetricKind::AverageSymmetricDistance:
            return distances.averageSymmetric();
        case MetricKind::MeanOfAverageDistances:
            return distances.meanOfAverages();
        case MetricKind::SurfaceDice:
            return distances.surfaceDice(metric.parameter);
        case MetricKind::SurfaceOverlapOfReference:
            return distances.overlapOfReference(metric.parameter);
        case MetricKind::SurfaceOverlapOfPrediction:
            return distances.overlapOfPrediction(metric.parameter);
        case MetricKind::Chamfer:
            return distances.chamfer();
        default:
            return kNaN;
    }
}

double lesionValue(const Metric& metric, const LesionOverlap& lesions, const LesionMatches& matches) {
    switch (metric.kind) {
        case MetricKind::LesionPrecision:
            return matches.precision();
        case MetricKind::LesionRecall:
            return matches.recall();
        case MetricKind::LesionF1:
            return matches.f1();
        case MetricKind::PanopticQuality:
            return matches.panopticQuality();
        case MetricKind::ReferenceLesions:
            return static_cast<double>(lesions.referenceVoxels.size());
        case MetricKind::PredictionLesions:
            return static_cast<double>(lesions.predictionVoxels.size());
        default:
            return kNaN;
    }
}

/// The table that names a side's ids: the user's, or the file's own.
const LabelTable& tableOf(const LabelImage& image, const CaseSettings& settings) {
    return settings.table.empty() ? image.map.table() : settings.table;
}

bool isSelected(const CaseSettings& settings, const std::string& name) {
    return settings.selected.empty() || settings.selected.findName(name) != nullptr;
}

std::vector<MatchedStructure> matchById(const Confusion& confusion, const LabelTable& names) {
    std::vector<MatchedStructure> structures;
    for (const int id : confusion.allIds()) structures.push_back({id, names.nameOf(id), id, id});
    return structures;
}

/// Both files name their labels, so names decide, whatever the ids.
std::vector<MatchedStructure> matchByName(const Confusion& confusion, const LabelTable& reference,
                                          const LabelTable& prediction) {
    std::map<std::string, MatchedStructure> byName;
    for (const int id : confusion.referenceIds()) {
        const std::string name = reference.nameOf(id);
        byName[name] = {id, name, id, 0};
    }
    for (const int id : confusion.predictionIds()) {
        const std::string name = prediction.nameOf(id);
        const Label* inReference = reference.findName(name);
        MatchedStructure& structure =
            byName.try_emplace(name, MatchedStructure{inReference ? inReference->id : id, name, 0, 0}).first->second;
        structure.predictionId = id;
    }
    std::vector<MatchedStructure> structures;
    for (auto& [name, structure] : byName) structures.push_back(std::move(structure));
    return structures;
}

void sortByLabel(std::vector<StructureMeasure>& structures) {
    std::sort(structures.begin(), structures.end(), [](const StructureMeasure& a, const StructureMeasure& b) {
        return a.label != b.label ? a.label < b.label : a.structure < b.structure;
    });
}

/// Both sides in one volume each: one counting pass for all labels.
std::vector<StructureMeasure> measureLabelMaps(const LabelImage& reference, const LabelImage& prediction,
                                               const CaseSettings& settings) {
    requireSameGeometry(reference.map.geometry(), reference.source, prediction.map.geometry(), prediction.source);
    const Confusion confusion = confusionOf(reference.map, prediction.map, needBoxes(settings.metrics));
    const bool byName = settings.table.empty() && !reference.map.table().empty() && !prediction.map.table().empty();
    const LabelTable& names =
        tableOf(reference.map.table().empty() && settings.table.empty() ? prediction : reference, settings);
    std::vector<MatchedStructure> structures =
        byName ? matchByName(confusion, reference.map.table(), prediction.map.table()) : matchById(confusion, names);
    std::erase_if(structures, [&](const MatchedStructure& s) { return !isSelected(settings, s.name); });
    std::vector<StructureMeasure> measures(structures.size());
    parallelForEach(0, static_cast<std::int64_t>(structures.size()), [&](std::int64_t i) {
        measures[i] = measureStructure(reference, prediction, structures[i], confusion, settings);
    });
    return measures;
}

/// A side whose structures are asked for by name.
class NamedSide {
  public:
    NamedSide(const CaseSource& source, CaseSide side, const CaseSettings& settings) : side_(side) {
        if (source.isStructureFolder) {
            for (auto& [name, path] : structureMasks(source.path)) masks_[name] = path;
            return;
        }
        image_ = readLabelImage(source.path, side);
        const LabelTable& table = tableOf(*image_, settings);
        if (table.empty())
            throw DataError(source.path.string(),
                            "its labels have no names to match with the masks of the other side: give --labels FILE "
                            "with names and ids");
        for (const Label& label : table.labels()) ids_[label.name] = label.id;
    }

    void addNames(std::set<std::string>& names) const {
        for (const auto& [name, path] : masks_) names.insert(name);
        if (!image_) return;
        const std::vector<std::int64_t> voxels = image_->map.countVoxels();
        for (const auto& [name, id] : ids_)
            if (static_cast<std::size_t>(id) < voxels.size() && voxels[id] > 0) names.insert(name);
    }

    /// The image that holds structure `name` and its id there; no image if this side does not know it.
    std::pair<std::optional<LabelImage>, int> load(const std::string& name) const {
        const auto mask = masks_.find(name);
        if (mask == masks_.end()) return {std::nullopt, 0};
        return {readMask(mask->second, side_), 1};
    }
    const LabelImage* image() const { return image_ ? &*image_ : nullptr; }
    /// A DICOM segmentation against masks goes on their grid once, not for every structure.
    void putOnGridOf(const NamedSide& masks) {
        if (!image_ || !image_->spansOwnFrames || masks.masks_.empty()) return;
        const Geometry grid = readImageHeader(masks.masks_.begin()->second).geometry;
        image_->map = onGrid(std::move(image_->map), grid, image_->source);
    }
    int idOf(const std::string& name) const {
        const auto found = ids_.find(name);
        return found == ids_.end() ? 0 : found->second;
    }

  private:
    CaseSide side_;
    std::map<std::string, std::filesystem::path> masks_;
    std::optional<LabelImage> image_;
    std::map<std::string, int> ids_;
};

/// Masks on at least one side: every structure is a pair of volumes of its own, so overlapping masks stay exact.
std::vector<StructureMeasure> measureByName(const CasePair& pair, const CaseSettings& settings) {
    NamedSide reference(pair.reference, CaseSide::Reference, settings);
    NamedSide prediction(pair.prediction, CaseSide::Prediction, settings);
    reference.putOnGridOf(prediction);
    prediction.putOnGridOf(reference);
    std::set<std::string> all;
    reference.addNames(all);
    prediction.addNames(all);
    const std::vector<std::string> names(all.begin(), all.end());

    const auto labelOf = [&](std::size_t i) {
        const Label* known = settings.table.findName(names[i]);
        if (known != nullptr) return known->id;
        const int id = std::max(reference.idOf(names[i]), prediction.idOf(names[i]));
        return id > 0 ? id : static_cast<int>(i) + 1;
    };
    std::vector<std::optional<StructureMeasure>> measures(names.size());
    parallelForEach(0, static_cast<std::int64_t>(names.size()), [&](std::int64_t i) {
        if (!isSelected(settings, names[i])) return;
        auto [ownA, idA] = reference.load(names[i]);
        auto [ownB, idB] = prediction.load(names[i]);
        const LabelImage* a = ownA ? &*ownA : reference.image();
        const LabelImage* b = ownB ? &*ownB : prediction.image();
        if (a == nullptr) a = &ownA.emplace(emptyLike(*b));
        if (b == nullptr) b = &ownB.emplace(emptyLike(*a));
        if (ownA && ownB) matchGrids(*ownA, *ownB);
        const MatchedStructure structure{labelOf(i), names[i], idA > 0 ? idA : reference.idOf(names[i]),
                                         idB > 0 ? idB : prediction.idOf(names[i])};
        requireSameGeometry(a->map.geometry(), a->source, b->map.geometry(), b->source);
        const Confusion confusion = confusionOf(a->map, b->map, needBoxes(settings.metrics));
        measures[i] = measureStructure(*a, *b, structure, confusion, settings);
    });
    std::vector<StructureMeasure> found;
    for (auto& measure : measures)
        if (measure) found.push_back(std::move(*measure));
    return found;
}

}  // namespace

StructureMeasure measureStructure(const LabelImage& reference, const LabelImage& prediction,
                                  const MatchedStructure& structure, const Confusion& confusion,
                                  const CaseSettings& settings) {
    StructureMeasure measure{
        structure.label, structure.name, confusion.counts(structure.referenceId, structure.predictionId), 0, {}};
    if (measure.counts.reference == 0 && measure.counts.prediction == 0)
        return absentStructure(structure.label, structure.name, measure.counts.total, settings);
    measure.iou = iouScore(measure.counts, settings.bothEmpty);
    const StructureView inReference{&reference.map, structure.referenceId,
                                    confusion.referenceBox(structure.referenceId)};
    const StructureView inPrediction{&prediction.map, structure.predictionId,
                                     confusion.predictionBox(structure.predictionId)};
    const auto wants = [&](bool (Metric::*needs)() const) {
        return std::any_of(settings.metrics.begin(), settings.metrics.end(), std::mem_fn(needs));
    };
    SurfaceDistances distances;
    if (wants(&Metric::needsSurfaces))
        distances = surfaceDistances(inReference, inPrediction, reference.isFlat, settings.surfaceDefinition);
    LesionOverlap lesions;
    if (wants(&Metric::needsLesions)) lesions = lesionOverlap(inReference, inPrediction);
    const LesionMatches matches = matchLesions(lesions, settings.lesionIou);

    const double voxelVolume = reference.map.geometry().voxelVolume();
    for (const Metric& metric : settings.metrics)
        measure.values.push_back(metric.needsSurfaces() ? surfaceValue(metric, distances)
                                 : metric.needsLesions()
                                     ? lesionValue(metric, lesions, matches)
                                     : overlapValue(metric, measure.counts, voxelVolume, settings.bothEmpty));
    return measure;
}

StructureMeasure absentStructure(int label, const std::string& name, std::int64_t voxels,
                                 const CaseSettings& settings) {
    StructureMeasure measure{label, name, {0, 0, 0, voxels}, 0, {}};
    measure.iou = iouScore(measure.counts, settings.bothEmpty);
    for (const Metric& metric : settings.metrics)
        measure.values.push_back(metric.kind == MetricKind::ReferenceLesions ||
                                         metric.kind == MetricKind::PredictionLesions
                                     ? 0
                                     : overlapValue(metric, measure.counts, 1, settings.bothEmpty));
    return measure;
}

CaseEvaluation evaluateCase(const CasePair& pair, const CaseSettings& settings) {
    CaseEvaluation result{pair.name(), pair.reference.path, pair.prediction.path, {}};
    if (pair.reference.isStructureFolder || pair.prediction.isStructureFolder) {
        result.structures = measureByName(pair, settings);
    } else {
        LabelImage reference, prediction;
        tbb::parallel_invoke([&] { reference = readLabelImage(pair.reference.path, CaseSide::Reference); },
                             [&] { prediction = readLabelImage(pair.prediction.path, CaseSide::Prediction); });
        matchGrids(reference, prediction);
        result.structures = measureLabelMaps(reference, prediction, settings);
    }
    sortByLabel(result.structures);
    return result;
}

CaseEvaluation evaluateMissingPrediction(const CaseSource& reference, const CaseSettings& settings) {
    CaseEvaluation result{reference.name, reference.path, {}, {}};
    if (reference.isStructureFolder) {
        for (const auto& [name, path] : structureMasks(reference.path)) {
            if (!isSelected(settings, name)) continue;
            const LabelImage mask = readMask(path, CaseSide::Reference);
            const LabelImage nothing = emptyLike(mask);
            const Label* known = settings.table.findName(name);
            const int label = known != nullptr ? known->id : static_cast<int>(result.structures.size()) + 1;
            const Confusion confusion = confusionOf(mask.map, nothing.map, needBoxes(settings.metrics));
            result.structures.push_back(measureStructure(mask, nothing, {label, name, 1, 0}, confusion, settings));
        }
    } else {
        const LabelImage image = readLabelImage(reference.path, CaseSide::Reference);
        result.structures = measureLabelMaps(image, emptyLike(image), settings);
    }
    sortByLabel(result.structures);
    return result;
}

}  // namespace medseg
