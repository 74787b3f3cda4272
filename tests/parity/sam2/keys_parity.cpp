// Names, shapes and hyperparameters of the public models.
#include <fstream>
#include <map>

#include "fixture.h"
#include "medseg/io/tensor_record.h"
#include "medseg/nn/sam2/registry.h"
#include "medseg/nn/tensor_bridge.h"
#include "official_config.h"

namespace medseg::test {
namespace {

TEST(Sam2Parity, RegistryAndKeys) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    const nlohmann::json registry = sam2Json("keys/registry.json");
    for (const auto& [name, entry] : registry.items()) {
        if (!entry.contains("hyperparameters")) continue;
        const Sam2Settings& registered = sam2ByName(name);
        Sam2Settings official = settingsFromOfficial(entry.at("hyperparameters"));
        EXPECT_EQ(registered, official) << name;

        nlohmann::ordered_json keys =
            nlohmann::ordered_json::parse(std::ifstream(sam2Fixture(entry.at("keys_file").get<std::string>())));
        if (keys.contains("keys")) keys = nlohmann::ordered_json(keys.at("keys"));
        const Sam2 model(registered);
        const auto state = namedState(*model);
        EXPECT_EQ(state.size(), entry.at("num_keys").get<std::size_t>()) << name;
        std::map<std::string, std::vector<std::int64_t>> shapes;
        NamedTensors records;
        std::int64_t parameters = 0;
        for (const auto& [key, tensor] : state) {
            shapes[key] = tensor.sizes().vec();
            records.emplace_back(key, toRecord(tensor));
        }
        for (const auto& parameter : model->parameters()) parameters += parameter.numel();
        EXPECT_EQ(parameters, entry.at("num_parameters").get<std::int64_t>()) << name;
        for (const auto& [key, shape] : keys.items()) {
            ASSERT_TRUE(shapes.contains(key)) << name << ": " << key;
            EXPECT_EQ(shapes[key], shape.get<std::vector<std::int64_t>>()) << name << ": " << key;
        }
        // Image size is not in the shapes.
        Sam2Settings identified = identifySam2(records, name);
        identified.imageSize = registered.imageSize;
        EXPECT_EQ(identified, registered) << name;
    }
}

TEST(Sam2Parity, EfficientTamRuns) {
    torch::NoGradGuard noGradient;
    Sam2Settings settings = sam2ByName("efficienttam_ti_512x512");
    settings.imageSize = 256;
    Sam2 model(settings);
    model->eval();
    const ImageFeatures features = model->encodeImages(torch::zeros({1, 3, 256, 256}));
    EXPECT_FALSE(features.highResolution.stride4.defined());
    const FrameMask mask =
        model->segmentFrame(model->withoutMemory(features.embedding), features.highResolution, {}, true);
    EXPECT_EQ(mask.lowResolution.sizes(), (std::vector<std::int64_t>{1, 1, 64, 64}));
}

}  // namespace
}  // namespace medseg::test
