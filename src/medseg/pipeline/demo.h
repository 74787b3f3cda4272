// The recipe of `medseg demo`, and what it leaves to look at.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "medseg/pipeline/pipeline.h"

namespace medseg {

/// recipes/demo.yaml as built into the program, with `output` and overrides applied. Throws UsageError.
Recipe demoRecipe(const std::string& output, const std::vector<std::string>& overrides);

/// What to look at after a run: (what it is, where it is).
std::vector<std::pair<std::string, std::filesystem::path>> demoResults(const Pipeline& pipeline);

}  // namespace medseg
