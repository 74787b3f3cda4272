// A SAM 2 network as a file: official checkpoints and those that medseg trained.
#pragma once

#include <filesystem>
#include <optional>

#include "medseg/nn/sam2/sam2.h"
#include "medseg/recipe/recipe.h"
#include "medseg/volume/label_map.h"

namespace medseg {

struct LoadedSam2 {
    std::filesystem::path file;
    Sam2 network{nullptr};
    std::optional<Recipe> recipe;  ///< of a model that medseg trained
    LabelTable labels;             ///< empty for other checkpoints
};

/// The network that the section sam2 of a recipe describes, with random weights or those of its checkpoint. Throws
/// UsageError for an image size that does not fit, DataError for a checkpoint of another size.
Sam2 buildSam2(const Sam2RecipeSettings& settings, bool withCheckpoint);

/// True for a checkpoint or model folder with the weights of a SAM 2; false for other networks and unreadable files.
bool isSam2File(const std::filesystem::path& path);

/// `path`: a model folder or a checkpoint: medseg's, an official one, or one that MedSAM2's scripts wrote. `imageSize`:
/// side of the network's input; 0: as the recipe says, else as published for the size (512 for files named like those
/// of MedSAM2, which have the weights' shapes of SAM 2.1 tiny). In evaluation mode. Throws DataError.
LoadedSam2 loadSam2(const std::filesystem::path& path, int imageSize = 0);

}  // namespace medseg
