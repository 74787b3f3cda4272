#include "medseg/dataset/form_settings.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

/// 0 stands for "none", -1 for the script's choice, which is about FLARE22's label numbers.
std::vector<int> labelsToRemove(const std::vector<int>& wanted, const std::vector<int>& scripts, bool masks) {
    std::vector<int> labels;
    for (const int label : wanted) {
        if (label > 0) labels.push_back(label);
        if (label < 0 && !masks) labels.insert(labels.end(), scripts.begin(), scripts.end());
    }
    return labels;
}

}  // namespace

MedsamSettings medsamSettingsFrom(const std::string& form, const PrepareMedsamSettings& recipe,
                                  const LabelReader& reader) {
    MedsamSettings settings = medsamDefaults(form);
    settings.modality = recipe.modality;
    settings.anatomy = recipe.anatomy;
    settings.image.window = {recipe.windowLevel, recipe.windowWidth};
    settings.image.percents = recipe.percentiles;
    if (!(recipe.percentiles[0] < recipe.percentiles[1]))
        throw UsageError(fmt::format("prepare_medsam.percentiles [{}, {}]: the first must be below the second",
                                     recipe.percentiles[0], recipe.percentiles[1]));
    MedsamLabelRules& rules = settings.labels;
    rules.removeLabels = labelsToRemove(recipe.removeLabels, rules.removeLabels, reader.readsMasks());
    if (recipe.tumorLabel > 0) rules.tumorLabel = recipe.tumorLabel;
    if (recipe.dust3d >= 0) rules.dust3d = recipe.dust3d;
    if (recipe.dust2d >= 0) rules.dust2d = recipe.dust2d;
    settings.trainCases = recipe.trainCases;
    settings.npy = recipe.npy;
    settings.saveNii = recipe.saveNii;
    if (recipe.imageSize[0] > 0 || recipe.imageSize[1] > 0) settings.imageSize = recipe.imageSize;
    checkMedsamSettings(settings);
    return settings;
}

Sam3dSettings sam3dSettingsFrom(const PrepareSam3dSettings& recipe, const LabelReader& reader) {
    Sam3dSettings settings;
    if (recipe.classes > 0)
        settings.classes = recipe.classes;
    else if (reader.readsMasks())
        settings.classes = static_cast<int>(reader.structures().size());
    settings.spacing = recipe.spacing;
    settings.axes = recipe.axes;
    settings.minForeground = recipe.minForeground;
    settings.meshes = recipe.meshes;
    settings.minMeshVoxels = recipe.minMeshVoxels;
    settings.closeSurfaces = !recipe.openSurfaces;
    settings.distanceUnit = recipe.sdfInMm ? DistanceUnit::Millimetre : DistanceUnit::Voxel;
    settings.pointmap = recipe.legacyPointmap ? PointmapRule::Legacy : PointmapRule::Exact;
    checkSam3dSettings(settings);
    return settings;
}

NnunetSettings nnunetSettingsFrom(const PrepareNnunetSettings& recipe) {
    return {recipe.channels, recipe.moreSuffixes, recipe.labelNames};
}

}  // namespace medseg
