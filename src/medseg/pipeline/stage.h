// The stages of a run and the folders it writes.
#pragma once

#include <array>
#include <filesystem>
#include <string>

#include "medseg/recipe/recipe.h"

namespace medseg {

enum class Stage { Generate, Prepare, Train, Predict, Evaluate, Report };

inline constexpr std::array<Stage, 6> kAllStages{Stage::Generate, Stage::Prepare,  Stage::Train,
                                                 Stage::Predict,  Stage::Evaluate, Stage::Report};

/// "generate", "prepare", "train", "predict", "evaluate", "report".
const char* stageName(Stage stage);
/// Throws UsageError listing the names.
Stage stageFromName(const std::string& name);

/// Whether sam3d.slices names a folder in which everything is prepared.
bool usesPreparedSlices(const Recipe& recipe);

/// Where a run keeps what it makes, below recipe.output.
struct RunFolders {
    explicit RunFolders(const Recipe& recipe);

    std::filesystem::path root;
    std::filesystem::path cache;        ///< training slices, or volumes; sam3d.slices where the recipe names it
    std::filesystem::path model;        ///< checkpoints and training history
    std::filesystem::path predictions;  ///< CASE.nii.gz, in the geometry of the input
    std::filesystem::path measured;     ///< reference/ and prediction/: what is compared, CASE.nii.gz each
    std::filesystem::path evaluation;
    std::filesystem::path report;
};

}  // namespace medseg
