// Checkpoint containers of <fixtures>/sam3d/08_checkpoints and names and shapes of <fixtures>/sam3d/manifests.
#include <gmock/gmock.h>

#include "fixture.h"
#include "medseg/base/error.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/nn/sam3d/sam3d_model.h"

namespace medseg {
namespace {

using test::Json;

void expectTensors(const test::Sam3dFixture& fixture, const NamedTensors& tensors, const Json& expected,
                   const std::string& prefix) {
    std::size_t wanted = 0;
    for (const auto& [name, value] : expected.items()) wanted += name.starts_with(prefix) ? 1 : 0;
    EXPECT_EQ(tensors.size(), wanted);
    for (const auto& [name, tensor] : tensors) {
        SCOPED_TRACE(prefix + name);
        const auto found = expected.find(prefix + name);
        ASSERT_NE(found, expected.end());
        EXPECT_EQ(tensorDtypeName(tensor.dtype), found->at("dtype").get<std::string>());
        EXPECT_EQ(tensor.shape, found->at("shape").get<std::vector<std::int64_t>>());
        const std::vector<double> values = tensor.toDoubles();
        double sum = 0;
        for (const double value : values) sum += value;
        const auto near = [&](double actual, double reference) {
            EXPECT_NEAR(actual, reference, fixture.tolerance("atol") + fixture.tolerance("rtol") * std::abs(reference));
        };
        near(sum, found->at("sum").get<double>());
        const auto first = found->at("first").get<std::vector<double>>();
        for (std::size_t i = 0; i < first.size(); ++i) near(values.at(i), first[i]);
    }
}

TEST(Sam3dCheckpoints, ReleasedLayouts) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/08_checkpoints");
    const test::Sam3dFixture fixture("08_checkpoints");
    const Json expected = fixture.json("expected.json");
    EXPECT_EQ(sam3dPrefix(Sam3dPart::Generator), fixture.hyper().at("prefix_generator").get<std::string>());
    EXPECT_EQ(sam3dPrefix(Sam3dPart::ConditionEmbedder), fixture.hyper().at("prefix_condition").get<std::string>());
    for (const Sam3dPart part : {Sam3dPart::Generator, Sam3dPart::ConditionEmbedder})
        expectTensors(fixture, readSam3dPart(fixture.path(sam3dFileName(part)), part), expected.at("ss_generator"),
                      sam3dPrefix(part));
    // All of the file: also views of one storage, half, bfloat16, integers and booleans.
    expectTensors(fixture, readStateDict(fixture.path("ss_generator.ckpt")).tensors, expected.at("ss_generator"), "");
    const Sam3dPart decoder = Sam3dPart::StructureDecoder;
    expectTensors(fixture, readSam3dPart(fixture.path(sam3dFileName(decoder)), decoder), expected.at("ss_decoder"), "");
    expectTensors(fixture, readStateDict(fixture.path("legacy.pt")).tensors, expected.at("legacy"), "");
}

TEST(Sam3dCheckpoints, EmptyFileIsNamedAsSuch) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/08_checkpoints");
    const test::Sam3dFixture fixture("08_checkpoints");
    try {
        readSam3dPart(fixture.path("ss_encoder_empty.safetensors"), Sam3dPart::StructureEncoder);
        FAIL() << "an empty file was accepted";
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("0 bytes"));
    }
}

class Sam3dManifest : public testing::Test {
  protected:
    void SetUp() override { MEDSEG_REQUIRE_FIXTURES("sam3d/manifests"); }
    static Json manifest(const std::string& name) {
        return Json::parse(readTextFile(test::fixtures() / "sam3d/manifests" / (name + ".json")));
    }
    /// The tensors of `network`, whose numbered blocks stand for all, against the manifest.
    static void expectNames(const torch::nn::Module& network, const Json& manifest,
                            const std::vector<std::string>& repeated) {
        const std::string prefix = manifest.at("prefix_in_file");
        std::map<std::string, std::vector<std::int64_t>> own;
        for (const ExpectedTensor& tensor : expectedTensors(network)) own[tensor.name] = tensor.shape;
        std::set<std::string> used;
        for (const auto& [key, shape] : manifest.at("keys").items()) {
            ASSERT_TRUE(key.starts_with(prefix)) << key;
            std::string name = key.substr(prefix.size());
            for (const std::string& list : repeated) {
                const auto at = name.find(list);
                if (at == std::string::npos) continue;
                const auto start = at + list.size(), end = name.find('.', start);
                name.replace(start, end - start, "0");
            }
            const auto found = own.find(name);
            ASSERT_NE(found, own.end()) << key;
            EXPECT_EQ(found->second, shape.get<std::vector<std::int64_t>>()) << key;
            used.insert(name);
        }
        EXPECT_EQ(used.size(), own.size());
    }
};

TEST_F(Sam3dManifest, StructureAutoencoder) {
    const Sam3dShape shape = sam3dShape("official");
    expectNames(*StructureEncoder(shape.vae), manifest("ss_encoder"), {});
    expectNames(*StructureDecoder(shape.vae), manifest("ss_decoder"), {});
}

TEST_F(Sam3dManifest, Generator) {
    const Json expected = manifest("ss_generator");
    Sam3dShape shape = sam3dShape("official", true);
    EXPECT_EQ(shape.flow.blocks, expected.at("hyperparameters").at("num_blocks").get<std::int64_t>());
    shape.flow.blocks = 1;
    StructureFlow flow(shape.flow);
    std::int64_t values = 0, inBlock = 0;
    for (const ExpectedTensor& tensor : expectedTensors(*flow)) {
        std::int64_t count = 1;
        for (const std::int64_t size : tensor.shape) count *= size;
        values += count;
        if (tensor.name.starts_with("blocks.")) inBlock += count;
    }
    EXPECT_EQ(values + 23 * inBlock, expected.at("values").get<std::int64_t>());
    expectNames(*flow, expected, {"blocks."});
}

TEST_F(Sam3dManifest, ConditionEmbedder) {
    const Json expected = manifest("ss_condition_embedder");
    Sam3dShape shape = sam3dShape("official");
    shape.condition.dino.depth = 1;
    ConditionEmbedder embedder(shape.condition);
    EXPECT_EQ(embedder->tokenCount(), expected.at("hyperparameters").at("tokens").get<std::int64_t>());
    expectNames(*embedder, expected, {"backbone.blocks."});
}

}  // namespace
}  // namespace medseg
