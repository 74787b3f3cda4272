// Checkpoints written by several versions of PyTorch and by the training programs, against manifests made beside them.
#include <cmath>
#include <fstream>
#include <regex>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fixture_folder.h"
#include "medseg/base/error.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/tensor_statistics.h"
#include "medseg/io/torch_checkpoint.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

#define REQUIRE_FIXTURES(variable, name)                        \
    const std::filesystem::path variable = fixtureFolder(name); \
    if (!std::filesystem::exists(variable)) GTEST_SKIP() << "no fixtures at " << variable << ": set MEDSEG_FIXTURES"

Json readJson(const std::filesystem::path& path) {
    std::ifstream stream(path);
    return Json::parse(stream);
}

void expectEqual(const NamedTensors& a, const NamedTensors& b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [name, tensor] : a) {
        const TensorRecord* other = findTensor(b, name);
        ASSERT_NE(other, nullptr) << name;
        EXPECT_EQ(tensor.dtype, other->dtype) << name;
        EXPECT_EQ(tensor.shape, other->shape) << name;
        EXPECT_TRUE(std::ranges::equal(tensor.contiguous().packedBytes(), other->contiguous().packedBytes())) << name;
    }
}

void expectAsManifest(const TensorRecord& tensor, const Json& expected, double tolerance, const std::string& name) {
    EXPECT_EQ(tensor.shape, expected.at("shape").get<std::vector<std::int64_t>>()) << name;
    EXPECT_EQ(tensorDtypeName(tensor.dtype), expected.at("dtype").get<std::string>()) << name;
    const std::vector<double> values = tensor.toDoubles();
    double sum = 0;
    for (const double value : values) sum += value;
    const double expectedSum = expected.at("sum").get<double>();
    EXPECT_NEAR(sum, expectedSum, tolerance * (1 + std::abs(expectedSum))) << name;
    const auto first = expected.at("first").get<std::vector<double>>();
    ASSERT_LE(first.size(), values.size()) << name;
    for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(values[i], first[i], tolerance) << name;
}

TEST(CheckpointFixtures, SamPthEqualsSafetensors) {
    REQUIRE_FIXTURES(folder, "sam");
    const FoundStateDict pth = readStateDict(folder / "sam_tiny.pth");
    const SafetensorsFile safetensors = readSafetensors(folder / "sam_tiny.safetensors");
    EXPECT_TRUE(pth.path.empty());
    EXPECT_FALSE(pth.tensors.empty());
    expectEqual(pth.tensors, safetensors.tensors);
}

/// Every block has the same members, so without block numbers the small model has exactly the names of ViT-B.
TEST(CheckpointFixtures, SamNamesAreTheOfficialOnes) {
    REQUIRE_FIXTURES(folder, "sam");
    const auto general = [](const std::string& name) {
        return std::regex_replace(name, std::regex("image_encoder\\.blocks\\.[0-9]+\\."), "image_encoder.blocks.N.");
    };
    std::set<std::string> official;
    const Json keys = readJson(folder / "keys/sam_vit_b.keys.json");
    for (const auto& [name, shape] : keys.at("entries").items()) official.insert(general(name));
    std::set<std::string> found;
    for (const auto& [name, tensor] : readStateDict(folder / "sam_tiny.pth").tensors) found.insert(general(name));
    EXPECT_EQ(found, official);
}

TEST(CheckpointFixtures, MedSamTrainingCheckpointsConvertToTheSameModel) {
    REQUIRE_FIXTURES(folder, "sam/medsam_train");
    const SafetensorsFile expected = readSafetensors(folder / "params_after3.safetensors");
    const FoundStateDict single = readStateDict(folder / "ckpt_single.pth");
    EXPECT_EQ(single.path, std::vector<std::string>{"model"});
    EXPECT_TRUE(single.strippedPrefixes.empty());
    expectEqual(single.tensors, expected.tensors);
    const FoundStateDict parallel = readStateDict(folder / "ckpt_module.pth");
    EXPECT_EQ(parallel.strippedPrefixes, std::vector<std::string>{"module."});
    expectEqual(parallel.tensors, expected.tensors);
    const PickleValue root = readTorchFile(folder / "ckpt_single.pth").root;
    EXPECT_GE(root.at("epoch").asInt(), 0);
    EXPECT_FALSE(root.at("optimizer").at("param_groups").items()[0].at("params").items().empty());
    EXPECT_TRUE(findChecksumMismatches(folder / "ckpt_single.pth").empty());
}

TEST(CheckpointFixtures, Sam2PtEqualsSafetensors) {
    REQUIRE_FIXTURES(folder, "sam2/model");
    expectEqual(readStateDict(folder / "tiny.pt").tensors, readSafetensors(folder / "tiny.safetensors").tensors);
}

TEST(CheckpointFixtures, ReleaseContainersHoldWhatTheManifestSays) {
    REQUIRE_FIXTURES(folder, "sam3d/08_checkpoints");
    const Json expected = readJson(folder / "expected.json");
    const Json config = readJson(folder / "config.json");
    const double tolerance = config.at("tolerance").at("atol").get<double>();
    const std::pair<const char*, const char*> files[] = {
        {"ss_generator", "ss_generator.ckpt"}, {"ss_decoder", "ss_decoder.ckpt"}, {"legacy", "legacy.pt"}};
    for (const auto& [key, file] : files) {
        const FoundStateDict found = readStateDict(folder / file);
        EXPECT_EQ(found.tensors.size(), expected.at(key).size()) << file;
        for (const auto& [name, manifest] : expected.at(key).items()) {
            const TensorRecord* tensor = findTensor(found.tensors, name);
            ASSERT_NE(tensor, nullptr) << name;
            expectAsManifest(*tensor, manifest, tolerance, name);
        }
    }
    const Json& lora = expected.at("lora_best").at("lora");
    const FoundStateDict found = readStateDict(folder / "lora_best.pt");
    EXPECT_EQ(found.tensors.size(), lora.size());
    for (const auto& [name, manifest] : lora.items()) {
        const TensorRecord* tensor = findTensor(found.tensors, name);
        ASSERT_NE(tensor, nullptr) << name;
        expectAsManifest(*tensor, manifest, tolerance, name);
    }
    EXPECT_EQ(readTorchFile(folder / "legacy.pt").format, TorchFormat::Legacy);
    EXPECT_THROW(readCheckpoint(folder / "ss_encoder_empty.safetensors"), DataError);
}

/// numpy scalars, torch.device, momentum buffers, storages tagged cuda:0.
TEST(CheckpointFixtures, NnUnetCheckpointsAreUnderstoodCompletely) {
    REQUIRE_FIXTURES(folder, "nnunet/models");
    int count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.path().extension() != ".pth") continue;
        ++count;
        const Checkpoint checkpoint = readCheckpoint(entry.path());
        EXPECT_EQ(checkpoint.root.at("_best_ema").kind(), PickleValue::Kind::Float) << entry.path();
        EXPECT_TRUE(checkpoint.root.at("trainer_name").isString());
        EXPECT_EQ(checkpoint.root.at("init_args").at("device").typeName(), "torch.device");
        for (const PickleValue& dice : checkpoint.root.at("logging").at("mean_fg_dice").items())
            EXPECT_EQ(dice.kind(), PickleValue::Kind::Float);
        const FoundStateDict found = findStateDict(checkpoint.root, entry.path().string());
        EXPECT_EQ(found.path, std::vector<std::string>{"network_weights"});
        for (const auto& [name, tensor] : found.tensors) EXPECT_EQ(computeStatistics(tensor).nan, 0) << name;
        EXPECT_FALSE(describeCheckpoint(checkpoint, {true}).contains("unknown_types")) << entry.path();
    }
    EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace medseg
