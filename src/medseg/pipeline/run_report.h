// The pictures and the report page of a run.
#pragma once

#include <vector>

#include "medseg/dataset/layout.h"
#include "medseg/pipeline/stage.h"

namespace medseg {

/// Writes below folders.report: overlays/CASE_N.png (image, reference, prediction, difference), the evaluation's
/// charts, training_history.png and, if the recipe says so, report.html. Needs the results of the stages before it.
void writeRunReport(const Recipe& recipe, const RunFolders& folders, const Dataset& dataset,
                    const std::vector<Case>& cases);

}  // namespace medseg
