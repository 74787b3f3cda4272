// What the SAM parity tests read from the fixture folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include "medseg/io/tensor_record.h"

namespace medseg::sam_fixture {

/// The folder "sam" of the fixtures.
std::filesystem::path folder();
bool exists(const std::string& name);
/// A .npy file as a tensor of its element type.
torch::Tensor array(const std::string& name);
/// A .npy file as floats, batch axis and all as stored.
torch::Tensor floats(const std::string& name);
nlohmann::json json(const std::string& name);
nlohmann::json config();
/// Names before `ending` of the files "folder/NAME<ending>", sorted.
std::vector<std::string> namesEnding(const std::string& subfolder, const std::string& ending);
/// How many files case0<ending>, case1<ending> ... there are.
int caseCount(const std::string& subfolder, const std::string& ending);

/// The weights of sam_tiny.safetensors.
NamedTensors weights();
/// Those below `prefix`, with it removed, copied into `network` (strictly).
void load(torch::nn::Module& network, const std::string& prefix);

double largestDifference(const torch::Tensor& a, const torch::Tensor& b);

constexpr double kTolerance = 1e-4;          ///< embeddings, tokens, logits, IoU (manifest, section 2)
constexpr double kPositionTolerance = 5e-6;  ///< positional encodings and sparse prompt tokens
constexpr double kProbabilityTolerance = 5e-6;
constexpr double kMaskShare = 1e-3;  ///< share of mask pixels that may differ

}  // namespace medseg::sam_fixture

/// Shapes equal, largest difference at most `tolerance`.
#define EXPECT_CLOSE(actual, expected, tolerance)                                                      \
    do {                                                                                               \
        const torch::Tensor actual_ = (actual);                                                        \
        const torch::Tensor expected_ = (expected);                                                    \
        ASSERT_EQ(actual_.sizes(), expected_.sizes()) << #actual;                                      \
        EXPECT_LE(medseg::sam_fixture::largestDifference(actual_, expected_), (tolerance)) << #actual; \
    } while (false)

#define REQUIRE_SAM_FIXTURES() \
    if (!medseg::sam_fixture::exists("config.json")) GTEST_SKIP() << "no fixtures at " << medseg::sam_fixture::folder()
