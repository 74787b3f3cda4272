#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/state_dict.h"
#include "medseg/io/torch_checkpoint.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TensorRecord zeros(std::vector<std::int64_t> shape) {
    const std::vector<float> values(static_cast<std::size_t>(checkedElementCount(shape, "test")));
    return TensorRecord::ofFloats(std::move(shape), values);
}

std::vector<std::string> namesOf(const NamedTensors& tensors) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors) names.push_back(name);
    return names;
}

TEST(StateDict, WrappersAndParallelPrefixesAreStripped) {
    PickleValue inner = PickleValue::dict();
    inner.set("state_dict",
              PickleValue::stateDict({{"module._orig_mod.a", zeros({2})}, {"module._orig_mod.b.c", zeros({3})}}));
    PickleValue root = PickleValue::dict();
    root.set("optimizer", PickleValue::stateDict({{"step", zeros({1})}}));
    root.set("model", inner);
    const FoundStateDict found = findStateDict(root, "x.pth");
    EXPECT_THAT(found.path, ElementsAre("model", "state_dict"));
    EXPECT_THAT(found.strippedPrefixes, ElementsAre("module.", "_orig_mod."));
    EXPECT_THAT(namesOf(found.tensors), ElementsAre("a", "b.c"));
    EXPECT_THAT(namesOf(findStateDict(root, "x.pth", "optimizer").tensors), ElementsAre("step"));
    EXPECT_THAT(namesOf(findStateDict(root, "x.pth", "model.state_dict").tensors), ElementsAre("a", "b.c"));
}

TEST(StateDict, APrefixThatOnlySomeNamesHaveStays) {
    const PickleValue root = PickleValue::stateDict({{"module.a", zeros({1})}, {"b", zeros({1})}});
    EXPECT_THAT(namesOf(findStateDict(root, "x").tensors), ElementsAre("module.a", "b"));
    EXPECT_THAT(namesOf(withoutPrefix(flattenTensors(root), "module.")), ElementsAre("a", "b"));
    EXPECT_THAT(namesOf(withPrefix(flattenTensors(root), "module.")), ElementsAre("a"));
}

TEST(StateDict, AMissingEntryIsNamedWithWhatIsThere) {
    PickleValue root = PickleValue::dict();
    root.set("weights", PickleValue::stateDict({{"a", zeros({1})}}));
    root.set("epoch", 3);
    try {
        findStateDict(root, "run/x.pth", "ema");
        FAIL();
    } catch (const DataError& error) {
        EXPECT_STREQ(error.what(), "run/x.pth: no entry \"ema\": the file has weights, epoch");
    }
    EXPECT_THROW(findStateDict(root, "x", "epoch"), DataError);
}

/// torch.save(model) keeps modules as objects with _parameters, _buffers and _modules.
TEST(StateDict, PickledModulesGiveTheNamesOfTheirStateDict) {
    const auto module = [](const NamedTensors& parameters, std::vector<PickleValue::Entry> children) {
        PickleValue state = PickleValue::dict();
        state.set("training", true);
        state.set("_parameters", PickleValue::stateDict(parameters));
        PickleValue modules = PickleValue::orderedDict();
        for (auto& [name, child] : children) modules.set(name, child);
        state.set("_modules", modules);
        PickleValue object = PickleValue::opaque("net.Module");
        object.setState(state);
        return object;
    };
    const PickleValue root =
        module({{"scale", zeros({1})}}, {{"conv", module({{"weight", zeros({2})}, {"bias", zeros({1})}}, {})}});
    EXPECT_THAT(namesOf(findStateDict(root, "x").tensors), ElementsAre("scale", "conv.weight", "conv.bias"));
}

TEST(StateDict, MatchNamesWhatDiffers) {
    const std::vector<ExpectedTensor> expected{{"a", {2}}, {"b", {3, 4}}, {"c", {1}}};
    const StateDictMatch match = matchStateDict(expected, {{"a", zeros({2})}, {"b", zeros({4})}, {"d", zeros({1})}});
    EXPECT_EQ(match.matched, 1u);
    EXPECT_FALSE(match.isComplete());
    EXPECT_EQ(match.describe(), "1 of 3 missing (c), 1 mis-shaped (b: [3, 4] expected, [4] found), 1 unexpected (d)");
    EXPECT_NO_THROW(requireMatch(match, "x.pth", "SAM ViT-B", false));
    try {
        requireMatch(match, "x.pth", "SAM ViT-B");
        FAIL();
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("x.pth: does not fit SAM ViT-B: 1 of 3 missing (c)"));
    }
    EXPECT_EQ(matchStateDict({{"a", {2}}}, {{"a", zeros({2})}}).describe(), "all 1 tensors match");
    std::vector<ExpectedTensor> many;
    for (int i = 0; i < 9; ++i) many.push_back({fmt::format("w{}", i), {1}});
    EXPECT_EQ(matchStateDict(many, {}).describe(2), "9 of 9 missing (w0, w1, ...)");
}

TEST(CheckpointConvert, ChangesFormatTypeAndNames) {
    const TemporaryFolder folder;
    const std::vector<float> values{0.1f, 2, -3, 4};
    TensorRecord whole = TensorRecord::ofFloats({4}, values);
    TensorRecord part = whole;
    part.shape = {1};
    part.offset = 2;
    PickleValue root = PickleValue::dict();
    root.set("model", PickleValue::stateDict(
                          {{"module.w", whole},
                           {"module.v", part},
                           {"module.n", TensorRecord::owning(TensorDtype::I64, {},
                                                             std::vector<std::uint8_t>{9, 0, 0, 0, 0, 0, 0, 0})}}));
    root.set("epoch", 3);
    writeTorchFile(folder.path() / "train.pth", root);

    ConvertOptions half;
    half.floatingDtype = TensorDtype::F16;
    const auto safetensors = folder.path() / "half.safetensors";
    EXPECT_EQ(convertCheckpoint(folder.path() / "train.pth", safetensors, half).tensorCount, 3u);
    const SafetensorsFile file = readSafetensors(safetensors);
    EXPECT_EQ(findTensor(file.tensors, "w")->dtype, TensorDtype::F16);
    EXPECT_FLOAT_EQ(findTensor(file.tensors, "w")->toFloats()[0], 0.0999755859375f);
    EXPECT_EQ(findTensor(file.tensors, "n")->dtype, TensorDtype::I64);

    half.floatingDtype = TensorDtype::BF16;
    convertCheckpoint(folder.path() / "train.pth", folder.path() / "half.pth", half);
    const NamedTensors back = readStateDict(folder.path() / "half.pth").tensors;
    EXPECT_THAT(findTensor(back, "v")->toFloats(), ElementsAre(-3));
    EXPECT_EQ(findTensor(back, "v")->storage, findTensor(back, "w")->storage);

    ConvertOptions rename;
    rename.stripPrefix = "w";
    EXPECT_THROW(convertCheckpoint(folder.path() / "train.pth", folder.path() / "x.onnx", rename), UsageError);
}

TEST(CheckpointFile, ContentDecidesNotTheName) {
    const TemporaryFolder folder;
    writeSafetensors(folder.path() / "really.pth", {{"a", zeros({2})}});
    writeTorchFile(folder.path() / "really.safetensors", PickleValue::stateDict({{"a", zeros({2})}}));
    EXPECT_EQ(readCheckpoint(folder.path() / "really.pth").format, "safetensors");
    EXPECT_EQ(readCheckpoint(folder.path() / "really.safetensors").format, "PyTorch zip archive");
    EXPECT_TRUE(looksLikeCheckpoint(folder.path() / "really.pth"));
    EXPECT_FALSE(looksLikeCheckpoint(folder.write("text", {'h', 'e', 'l', 'l', 'o', ' ', 'w', 'o', 'r', 'l', 'd'})));
    EXPECT_FALSE(looksLikeCheckpoint(folder.path() / "missing"));
}

}  // namespace
}  // namespace medseg
