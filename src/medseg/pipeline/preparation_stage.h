// The prepare stage of a run, and what later stages ask about its result: slices for two-dimensional networks, volumes
// for three-dimensional ones.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/pipeline/form_preparation.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

/// Whether the recipe trains on volumes: prepare.form "slices" and a U-Net of three dimensions.
bool preparesVolumes(const Recipe& recipe);

/// OUTPUT/cache, or OUTPUT/volumes for volumes.
std::filesystem::path preparedFolder(const Recipe& recipe);

/// The file without which nothing is prepared.
std::filesystem::path preparedManifest(const Recipe& recipe, const std::filesystem::path& folder);

/// Prepares volumes (see prepareVolumes) with a contact sheet. Logs a warning for every failure.
FormOutcome prepareTrainingVolumes(const Recipe& recipe, const std::filesystem::path& folder);

/// Prepares all cases into `folder` as the recipe says, in whatever form. Throws WorkError when some cases could not be
/// prepared, after the others are done, and what prepareSlices, prepareVolumes or prepareForm throws.
void prepareCases(const Recipe& recipe, const std::filesystem::path& folder);

/// Number of prepared cases.
std::int64_t preparedCaseCount(const Recipe& recipe, const std::filesystem::path& folder);

/// A case to measure on, and (with a split by slice) which slices of it count.
struct HeldOutCase {
    std::string id;
    std::vector<std::int64_t> slices;  ///< of the SlicePlan; empty = the whole volume
};

/// The test cases of the recipe's split, or the validation cases where nothing is kept for a test. Throws DataError
/// when nothing is held out.
std::vector<HeldOutCase> heldOutCases(const Recipe& recipe, const std::filesystem::path& folder);

}  // namespace medseg
