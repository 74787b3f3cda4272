// Whether released checkpoints in a folder are whole.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/weights/catalogue.h"

namespace medseg {

struct WeightState {
    enum class Kind { Missing, Good, Unverified, Empty, Damaged };
    WeightFile weight;
    std::filesystem::path path;
    Kind kind = Kind::Missing;
    std::string detail;  ///< tensors and values, or what is wrong
};

/// "missing", "good" (opens, and its sum is that of its download), "unverified" (opens; no sum to compare with),
/// "empty", "damaged".
const char* weightStateName(WeightState::Kind kind);

/// Looks for the files of `weights` in `folder`.
std::vector<WeightState> checkWeights(const std::filesystem::path& folder, const std::vector<WeightFile>& weights);

}  // namespace medseg
