// Reference values of SAM 2: shared/fixtures/sam2, whose MANIFEST.md defines all of them and, in its section 9, the
// limits that the tests use.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "medseg/nn/sam2/sam2.h"

namespace medseg::test {

std::filesystem::path sam2Fixture(const std::string& name);
nlohmann::json sam2Json(const std::string& name);
/// An .npy file as tensor of its type; float16 becomes float32.
torch::Tensor sam2Array(const std::string& name);
/// An array of an .npz file.
torch::Tensor sam2Array(const std::string& file, const std::string& array);

/// Settings of the tiny model, all from config.json; `flags`: "image", "video" or "" (no post-processing).
Sam2Settings tinySettings(const std::string& flags);
/// The tiny model with its weights, in evaluation mode.
Sam2 tinyModel(const std::string& flags);
/// The same weights as SAM 2.0: without the tensors that 2.1 added.
Sam2 tinyModelOf20();

/// Fails unless both have the same shape and differ by at most `limit` + `relative` * |expected| everywhere.
void expectNear(const torch::Tensor& actual, const torch::Tensor& expected, double limit, const std::string& what,
                double relative = 0);
/// The same against the file `name`.
void expectFixture(const torch::Tensor& actual, const std::string& name, double limit, double relative = 0);

// Limits of section 9.
inline constexpr double kFeatureLimit = 1e-4;
inline constexpr double kCodeLimit = 1e-5;
inline constexpr double kLogitLimit = 1e-3;
inline constexpr double kIouLimit = 1e-5;
inline constexpr double kScoreLimit = 1e-3;
inline constexpr double kScoreRelative = 1e-4;
inline constexpr double kVideoLogitLimit = 0.05;
inline constexpr double kVideoScoreLimit = 0.02;
inline constexpr double kPointerLimit = 1e-3;
inline constexpr double kMemoryLimit = 0.07;
inline constexpr double kMemoryMeanLimit = 1e-3;

}  // namespace medseg::test
