// The image path: input, trunk, neck, features for the decoder.
#include "fixture.h"
#include "medseg/nn/sam2/image_predictor.h"

namespace medseg::test {
namespace {

TEST(Sam2Parity, ImageEncoder) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("image");
    const torch::Tensor image = sam2Array("image/image_u8.npy");
    const torch::Tensor input = imagesToInput(image.unsqueeze(0), model->settings().imageSize);
    expectFixture(input, "image/input.npy", kCodeLimit);

    std::map<std::string, torch::Tensor> steps;
    const torch::Tensor reference = sam2Array("image/input.npy");
    const NeckFeatures neck = model->imageEncoder->allLevels(
        reference, [&](const std::string& name, const torch::Tensor& tokens) { steps[name] = tokens; });
    for (const auto& [name, tokens] : steps)
        if (std::filesystem::exists(sam2Fixture("image/" + name + ".npy")))
            expectFixture(tokens, "image/" + name + ".npy", name == "pos_embed" ? kCodeLimit : kFeatureLimit);
    const std::vector<torch::Tensor> stages = model->imageEncoder->trunk().forward(reference, {});
    for (std::size_t i = 0; i < stages.size(); ++i)
        expectFixture(stages[i], "image/stage_" + std::to_string(i) + ".npy", kFeatureLimit);
    for (std::size_t i = 0; i < neck.maps.size(); ++i) {
        expectFixture(neck.maps[i], "image/neck_" + std::to_string(i) + ".npy", kFeatureLimit);
        // The finest level is stored in half precision, which resolves 5e-4 at 1.
        expectFixture(neck.positions[i], "image/neck_pos_" + std::to_string(i) + ".npy", i == 0 ? 5e-4 : kCodeLimit);
    }
    const ImageFeatures features = model->encodeImages(reference);
    expectFixture(features.highResolution.stride4, "image/high_res_s0.npy", kFeatureLimit);
    expectFixture(features.highResolution.stride8, "image/high_res_s1.npy", kFeatureLimit);
    expectFixture(model->withoutMemory(features.embedding), "image/image_embed.npy", kFeatureLimit);
}

TEST(Sam2Parity, BlockTable) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const nlohmann::json table = sam2Json("model/config.json").at("derived").at("trunk_blocks");
    const std::vector<HieraBlockSettings> blocks = hieraBlocks(tinySettings("image").trunk);
    ASSERT_EQ(blocks.size(), table.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const auto& row = table[i];
        EXPECT_EQ(blocks[i], (HieraBlockSettings{row.at("dim"), row.at("dim_out"), row.at("num_heads"),
                                                 row.at("window_size"), row.at("q_pool")}))
            << "block " << i;
    }
}

}  // namespace
}  // namespace medseg::test
