// The image predictor: prompts in original pixels, masks at original size.
#include "fixture.h"
#include "medseg/io/npy.h"
#include "medseg/nn/sam2/image_predictor.h"

namespace medseg::test {
namespace {

class Sam2Predictor : public ::testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam2");
        predictor = std::make_unique<Sam2ImagePredictor>(tinyModel("image"));
        predictor->setImage(sam2Array("image/image_u8.npy"));
        const torch::Tensor boxArray = sam2Array("predictor/boxes.npy");
        for (std::int64_t i = 0; i < boxArray.size(0); ++i) {
            const float* row = boxArray[i].data_ptr<float>();
            boxes.push_back({row[0], row[1], row[2], row[3]});
        }
        const torch::Tensor pointArray = sam2Array("predictor/points.npy");
        const torch::Tensor labelArray = sam2Array("predictor/point_labels.npy");
        for (std::int64_t i = 0; i < pointArray.size(0); ++i) {
            points.push_back({pointArray[i][0].item<float>(), pointArray[i][1].item<float>()});
            labels.push_back(labelArray[i].item<int>());
        }
    }

    void check(const ImagePrompt& prompt, const std::string& name, bool batched) {
        const ImageAnswer answer = predictor->predict(prompt);
        const auto shaped = [&](const torch::Tensor& x) { return batched ? x : x.squeeze(0); };
        expectFixture(shaped(answer.lowResolution), "predictor/" + name + "_low_res.npy", kLogitLimit);
        expectFixture(shaped(answer.ious), "predictor/" + name + "_ious.npy", kIouLimit);
        const torch::Tensor masks = shaped(answer.logits > 0).to(torch::kByte);
        const torch::Tensor expected = sam2Array("predictor/masks.npz", name);
        ASSERT_EQ(masks.sizes(), expected.sizes()) << name;
        EXPECT_LE((masks != expected).sum().item<std::int64_t>(), masks.numel() * 2 / 10000) << name;
        if (std::filesystem::exists(sam2Fixture("predictor/" + name + "_mask_logits.npy")))
            expectFixture(shaped(answer.logits), "predictor/" + name + "_mask_logits.npy", kLogitLimit);
    }

    std::unique_ptr<Sam2ImagePredictor> predictor;
    std::vector<std::array<float, 4>> boxes;
    std::vector<std::array<float, 2>> points;
    std::vector<int> labels;
};

TEST_F(Sam2Predictor, AllCases) {
    ImagePrompt box;
    box.boxes = {boxes.front()};
    box.multimask = false;
    check(box, "box_single", false);

    ImagePrompt refined = box;
    refined.points = points;
    refined.labels = labels;
    refined.lowResolution = predictor->predict(box).lowResolution[0];
    check(refined, "box_point_mask_single", false);

    box.multimask = true;
    check(box, "box_multi", false);

    ImagePrompt clicks;
    clicks.points = points;
    clicks.labels = labels;
    check(clicks, "points_multi", false);

    ImagePrompt several;
    several.boxes = boxes;
    several.multimask = false;
    check(several, "boxes_batch_single", true);
}

TEST_F(Sam2Predictor, RefusesUnusablePrompts) {
    EXPECT_ANY_THROW(predictor->predict({}));
    ImagePrompt mixed;
    mixed.boxes = boxes;
    mixed.points = points;
    mixed.labels = labels;
    EXPECT_ANY_THROW(predictor->predict(mixed));
}

}  // namespace
}  // namespace medseg::test
