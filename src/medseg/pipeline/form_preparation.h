// Preparation as a recipe describes it: find the cases, run the form, draw the contact sheet.
#pragma once

#include <filesystem>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/preparation.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

/// Prepares the U-Net's slices (prepare.form "slices") of recipe.data into `output`, with recipe.yaml and
/// contact_sheet.png beside them. Logs a warning for every failure. Throws as discoverDataset() and prepareSlices().
PreparationResult prepareSliceCache(const Recipe& recipe, const std::filesystem::path& output);

/// What a run of another form did.
struct FormOutcome {
    int prepared = 0;                   ///< cases worked on in this run
    int reused = 0;                     ///< cases that were already there, unchanged
    std::size_t cases = 0;              ///< finished cases in the output
    std::size_t files = 0;              ///< their files
    std::vector<CaseFailure> failures;  ///< labels without an image, damaged cases

    /// Throws WorkError that counts the failures and names the first, unless there are none.
    void throwIfFailed() const;
};

/// Prepares the cases of recipe.data into `output` in the form recipe.prepare.form (any but "slices"), with
/// manifest.json, recipe.yaml, contact_sheet.png and, for nnunet, dataset.json beside the files. Logs a warning for
/// every failure and every image without labels. Throws UsageError, DataError when there is no case at all, WorkError
/// when the output cannot be written, InterruptedError.
FormOutcome prepareForm(const Recipe& recipe, const std::filesystem::path& output);

}  // namespace medseg
