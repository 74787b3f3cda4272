// Adapters against <fixtures>/sam3d/05_lora, 08_checkpoints and the counts of the manifests.
#include <fmt/format.h>

#include "fixture.h"
#include "medseg/io/lora_checkpoint.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/linear.h"

namespace medseg {
namespace {

using test::Json;

LoraSettings settingsOf(const test::Sam3dFixture& fixture) {
    const Json& hyper = fixture.hyper().at("lora");
    LoraSettings settings;
    settings.rank = hyper.at("rank");
    settings.alpha = hyper.at("alpha");
    settings.targets = hyper.at("target_components").get<std::vector<std::string>>();
    return settings;
}

TEST(Sam3dLora, LinearLayer) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/05_lora");
    const test::Sam3dFixture fixture("05_lora");
    const LoraSettings settings = settingsOf(fixture);
    EXPECT_EQ(settings.scaling(), fixture.hyper().at("lora").at("scaling").get<double>());
    const NamedTensors tensors = fixture.weights("linear.safetensors");
    const auto load = [&](torch::Tensor& target, const std::string& name) {
        const TensorRecord* record = findTensor(tensors, name);
        ASSERT_NE(record, nullptr) << name;
        torch::NoGradGuard noGradient;
        target.copy_(toTensor(*record));
    };
    const auto& hyper = fixture.hyper().at("lora");
    Linear linear(hyper.at("linear_in").get<int>(), hyper.at("linear_out").get<int>());
    linear->attachAdapter(settings.rank, settings.alpha, settings.dropout);
    load(linear->weight, "original_linear.weight");
    load(linear->bias, "original_linear.bias");
    load(linear->loraA, "lora_A");
    load(linear->loraB, "lora_B");
    const auto x = fixture.tensor("linear.x");
    const auto y = linear->forward(x);
    fixture.expectClose(y, "linear.y");
    y.square().mean().backward();
    const double rtol = fixture.tolerance("gradient_rtol");
    fixture.expectClose(linear->loraA.grad(), fixture.tensor("linear.grad_A"), "grad_A", fixture.tolerance("atol"),
                        rtol);
    fixture.expectClose(linear->loraB.grad(), fixture.tensor("linear.grad_B"), "grad_B", fixture.tolerance("atol"),
                        rtol);
    const auto before = linear->weight.detach().clone();
    linear->mergeAdapter();
    fixture.expectClose(linear->weight, "linear.merged_weight");
    fixture.expectClose(linear->forward(x), "linear.y");
    linear->unmergeAdapter();
    fixture.expectClose(linear->weight, before, "unmerged");
}

TEST(Sam3dLora, MergedCheckpoint) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/05_lora");
    const test::Sam3dFixture fixture("05_lora");
    const fs::path folder = fs::temp_directory_path() / fmt::format("medseg_lora_{}", ::getpid());
    createDirectories(folder);
    LoraCheckpoint lora;
    lora.settings = settingsOf(fixture);
    lora.adapters = fixture.weights("flow_lora.safetensors");
    writeLoraCheckpoint(folder / "lora.pt", lora);
    const Json expected = fixture.json("flow.json");
    const auto result =
        mergeLoraCheckpoint(fixture.path("flow_base.safetensors"), folder / "lora.pt", folder / "merged.safetensors");
    EXPECT_EQ(result.mergedLayers, expected.at("injected_layers").get<std::size_t>());
    const NamedTensors base = fixture.weights("flow_base.safetensors");
    const NamedTensors wanted = fixture.weights("flow_merged.safetensors");
    const NamedTensors merged = readSafetensors(folder / "merged.safetensors").tensors;
    ASSERT_EQ(merged.size(), base.size());
    for (const auto& [name, tensor] : merged) {
        const TensorRecord* adapted = findTensor(wanted, name);
        if (adapted != nullptr)
            fixture.expectClose(toTensor(tensor), toTensor(*adapted), name);
        else
            EXPECT_TRUE(torch::equal(toTensor(tensor), toTensor(*findTensor(base, name)))) << name;
    }
    fs::remove_all(folder);
}

TEST(Sam3dLora, AdaptedLayers) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/05_lora");
    const test::Sam3dFixture fixture("05_lora");
    const Json expected = fixture.json("flow.json");
    std::vector<ExpectedTensor> tensors;
    for (const auto& [name, tensor] : fixture.weights("flow_base.safetensors")) tensors.push_back({name, tensor.shape});
    const LoraSettings settings = settingsOf(fixture);
    const auto layers = loraLayers(tensors, settings);
    std::set<std::string> found;
    for (const LoraLayer& layer : layers) found.insert(layer.path);
    EXPECT_EQ(found, expected.at("injected_paths").get<std::set<std::string>>());
    EXPECT_EQ(loraValueCount(layers, settings.rank), expected.at("parameters").at("lora").get<std::int64_t>());
}

TEST(Sam3dLora, CountsOfTheReleasedModels) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/manifests");
    const fs::path folder = test::fixtures() / "sam3d/manifests";
    const Json counts = Json::parse(readTextFile(folder / "lora_counts.json"));
    const std::string shapeOnly = "_shape_stream_only";
    for (const auto& [name, expected] : counts.items()) {
        SCOPED_TRACE(name);
        LoraSettings settings;
        std::string file = name;
        if (name.ends_with(shapeOnly)) {
            file.resize(name.size() - shapeOnly.size());
            settings.exclude = {"6drotation_normalized"};
        }
        const Json manifest = Json::parse(readTextFile(folder / (file + ".json")));
        std::vector<ExpectedTensor> tensors;
        for (const auto& [key, shape] : manifest.at("keys").items())
            tensors.push_back({key, shape.get<std::vector<std::int64_t>>()});
        const auto layers = loraLayers(tensors, settings);
        EXPECT_EQ(layers.size(), expected.at("adapted_layers").get<std::size_t>());
        EXPECT_EQ(loraValueCount(layers, 1), expected.at("values_per_rank").get<std::int64_t>());
        for (const auto& [key, value] : expected.items()) {
            if (!key.starts_with("rank")) continue;
            EXPECT_EQ(loraValueCount(layers, std::stoi(key.substr(4))), value.get<std::int64_t>()) << key;
        }
    }
}

TEST(Sam3dLora, CheckpointOfThePythonTrainer) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/08_checkpoints");
    const test::Sam3dFixture fixture("08_checkpoints");
    const Json expected = fixture.json("expected.json").at("lora_best").at("lora");
    const fs::path file = fixture.path("lora_best.pt");
    const LoraCheckpoint lora = readLoraCheckpoint(file);
    const PickleValue config = readTorchFile(file).root.at("config");
    EXPECT_EQ(lora.settings.rank, config.at("lora_rank").asInt());
    EXPECT_EQ(lora.settings.alpha, config.at("lora_alpha").asDouble());
    ASSERT_EQ(lora.adapters.size(), expected.size());
    for (const auto& [name, tensor] : lora.adapters) {
        const Json& wanted = expected.at(name);
        EXPECT_EQ(tensor.shape, wanted.at("shape").get<std::vector<std::int64_t>>()) << name;
        const std::vector<double> values = tensor.toDoubles();
        double sum = 0;
        for (const double value : values) sum += value;
        const double wantedSum = wanted.at("sum");
        EXPECT_NEAR(sum, wantedSum, fixture.tolerance("atol") + fixture.tolerance("rtol") * std::abs(wantedSum));
    }
}

}  // namespace
}  // namespace medseg
