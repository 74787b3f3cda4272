// The cases of fixtures/preprocess/cases.json, and comparing what was written with what they expect.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "medseg/dataset/medsam_preparation.h"
#include "medseg/io/npy.h"

namespace medseg::parity {

/// Folder that all paths in cases.json start from.
std::filesystem::path fixtureRoot();

/// Cases of one of the recipes.
std::vector<nlohmann::json> casesOf(const std::vector<std::string>& recipes);

/// The array under `key` of an .npz file, or that of an .npy file (key null).
NpyArray readArray(const std::filesystem::path& file, const nlohmann::json& key);

/// Compares the part of `output` that `expected` (an entry of expected.arrays) names with its reference array.
void expectArray(const NpyArray& output, const nlohmann::json& expected);

/// All settings of a medsam, medsam2 or litemedsam case, or of one with "_npy" behind.
MedsamSettings settingsOf(const nlohmann::json& item);

}  // namespace medseg::parity

/// Skips the test, saying so, where there are no cases.
#define MEDSEG_REQUIRE_CASES(cases) \
    if ((cases).empty()) GTEST_SKIP() << "no such cases in " << medseg::parity::fixtureRoot() << ": set MEDSEG_FIXTURES"
