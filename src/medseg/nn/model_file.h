// A trained network as a file: weights, the recipe that made it and its labels, so that a single .pth is enough to
// predict.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/io/pickle_value.h"
#include "medseg/nn/segmentation_loss.h"
#include "medseg/nn/unet/unet.h"
#include "medseg/recipe/recipe.h"
#include "medseg/volume/label_map.h"

namespace medseg {

/// Builds the network that `settings` describe for `structures` structures (plus background with softmax outputs).
UNet buildUNet(const ModelSettings& settings, int structures);

OutputKind outputKindOf(const ModelSettings& settings);

struct LoadedModel {
    std::filesystem::path file;
    Recipe recipe;
    LabelTable labels;  ///< ids 1..N in the order of the outputs
    UNet network{nullptr};
};

/// The checkpoint that `path` stands for: a file is itself, a model folder its best.pth, else latest.pth. Throws DataError
/// for a folder without either.
std::filesystem::path findModelFile(const std::filesystem::path& path);

/// `path`: as for findModelFile(). Throws DataError when there is none, when
/// it is no medseg checkpoint, or when weights and recipe do not fit.
LoadedModel loadModel(const std::filesystem::path& path);

/// The entries every checkpoint carries besides weights: "format", "recipe" (YAML), "labels" (list of names).
PickleValue modelDescription(const Recipe& recipe, const LabelTable& labels);

}  // namespace medseg
