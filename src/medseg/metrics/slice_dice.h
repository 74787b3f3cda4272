// Dice of every label on every slice, as MedSAM2's evaluation counts it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// One label on one slice where reference or prediction has it.
struct SliceDice {
    int label = 0;
    std::int64_t slice = 0;
    std::int64_t reference = 0;   ///< pixels
    std::int64_t prediction = 0;  ///< pixels
    double dice = 0;              ///< 2 overlap / (reference + prediction): 0 when only the prediction has the label
};

/// By label, then slice. Slices where neither side has the label are left out: their Dice is not defined. `labels`:
/// ids to measure. Throws DataError for volumes of different sizes.
std::vector<SliceDice> sliceDice(const LabelMap& reference, const LabelMap& prediction, const std::vector<int>& labels);

/// Mean Dice of one label over its slices; NaN without any.
double meanSliceDice(const std::vector<SliceDice>& rows, int label);

/// What is written for one case.
struct CaseSliceDice {
    std::string name;
    std::vector<SliceDice> rows;
};

/// per_slice.csv (case, label, slice, both pixel counts, Dice) and per_slice_means.csv (a row for each case and one for
/// the mean over the cases, a column for each label, empty where it is not defined), atomically, into `folder`.
void writeSliceDice(const std::filesystem::path& folder, const std::vector<CaseSliceDice>& cases,
                    const LabelTable& labels);

}  // namespace medseg
