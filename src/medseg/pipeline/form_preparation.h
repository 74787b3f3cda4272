// Preparation into the files of another trainer, as a recipe describes it: find the cases, run the form, draw the
// contact sheet.
#pragma once

#include <filesystem>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

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
/// manifest.json, contact_sheet.png and, for nnunet, dataset.json beside the files. Logs a warning for every failure
/// and every image without labels. Throws UsageError, DataError when there is no case at all, WorkError when the output
/// cannot be written, InterruptedError.
FormOutcome prepareForm(const Recipe& recipe, const std::filesystem::path& output);

}  // namespace medseg
