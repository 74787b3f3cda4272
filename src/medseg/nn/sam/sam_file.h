// SAM-family networks from files: official checkpoints, MedSAM's training checkpoints, and those that medseg trains.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "medseg/io/pickle_value.h"
#include "medseg/nn/sam/sam.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

struct LoadedSam {
    std::filesystem::path file;
    Sam network{nullptr};          ///< in evaluation mode, on the CPU
    std::optional<Recipe> recipe;  ///< of a network that medseg trained
    /// How the network wants its images: "sam", "medsam" or "litemedsam". From the recipe, else from the architecture
    /// (LiteMedSAM) or from "medsam" in the file's name, else "sam".
    std::string style;
    int epochs = 0;  ///< finished when it was saved; 0: the file does not say
};

/// Opens `path`: a model folder (best.pth, else latest.pth) or any checkpoint with the weights of a SAM, be it plain,
/// below "model" or with "module." before the names (.pth, .safetensors). The architecture follows from the tensors.
/// Low-rank adapters are added to the weights they belong to.
/// Throws DataError when the weights are incomplete or those of another network.
LoadedSam loadSam(const std::filesystem::path& path);

/// True if the checkpoint at `path` holds a SAM; false for other networks and unreadable files.
bool isSamFile(const std::filesystem::path& path);

/// Starting weights: copies those of `path` into `network`, whose image size may differ (absolute positions and the
/// tables of the global blocks are then interpolated). Throws DataError when anything else does not fit.
void loadSamWeights(SamImpl& network, const std::filesystem::path& path);

/// What a checkpoint of a SAM carries besides weights: "format", "recipe" (YAML).
PickleValue samDescription(const Recipe& recipe);

}  // namespace medseg
