// The stages of `medseg run` for networks of the SAM family (model.kind: sam).
#pragma once

#include <filesystem>

#include "medseg/nn/network_module.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

/// Where training slices lie: data.root when it already holds imgs and gts, else `cache`, into which they are prepared.
std::filesystem::path promptSliceFolder(const Recipe& recipe, const std::filesystem::path& cache);

/// The form medsam with .npy slices of the network's size, see prepareForm(). Does nothing when data.root holds slices.
/// Throws as the preparation does.
void prepareMedsamSlices(const Recipe& recipe, const std::filesystem::path& cache);

/// Measures the trained network on the test cases (npz_test); without any, on what split.json held out of training.
/// Tables and picture go to `output`.
PromptedEvaluation evaluateMedsam(const Recipe& recipe, const std::filesystem::path& cache,
                                  const std::filesystem::path& model, const std::filesystem::path& output);

}  // namespace medseg
