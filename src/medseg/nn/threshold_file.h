// thresholds.json: from which probability each structure of a model counts, kept beside the checkpoint.
#pragma once

#include <filesystem>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// What the search on the validation slices found for one structure.
struct StructureThreshold {
    double threshold = 0.5;    ///< probability from which a pixel counts, 0..1
    double dice = 0;           ///< pooled over the validation slices at `threshold`; NaN without reference
    double diceAtDefault = 0;  ///< the same at the recipe's predict.threshold
};

/// thresholds.json in the folder of `checkpoint`.
std::filesystem::path thresholdFile(const std::filesystem::path& checkpoint);

/// `found`: one entry per label, in order. Throws WorkError.
void writeThresholds(const std::filesystem::path& checkpoint, const LabelTable& labels,
                     const std::vector<StructureThreshold>& found);

/// One threshold per label, in order. Throws UsageError when there is no file (with the command that makes one),
/// DataError when it is damaged or was made for another state of the checkpoint.
std::vector<double> readThresholds(const std::filesystem::path& checkpoint, const LabelTable& labels);

}  // namespace medseg
