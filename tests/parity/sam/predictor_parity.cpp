// From pictures to masks: predictor/ (SAM), medsam_infer/ (MedSAM) and postprocess/.
#include <gtest/gtest.h>

#include "medseg/infer/sam_prompted_model.h"
#include "parity/sam/sam_fixture.h"
#include "parity/sam/sam_shapes.h"

namespace medseg {
namespace {

using namespace sam_fixture;

PngPixels pictureOf(const torch::Tensor& image) {
    PngPixels picture;
    picture.height = image.size(0);
    picture.width = image.size(1);
    picture.channels = image.dim() == 3 ? static_cast<int>(image.size(2)) : 1;
    picture.bytes.assign(image.data_ptr<std::uint8_t>(), image.data_ptr<std::uint8_t>() + image.numel());
    return picture;
}

SamPromptedModel openModel(SamStyle style) {
    return {loadSam(folder() / "sam_tiny.pth"), style, torch::kCPU};
}

void expectMask(const torch::Tensor& scores, double threshold, const std::string& file) {
    const torch::Tensor mask = scores.gt(threshold).to(torch::kByte);
    const torch::Tensor expected = array(file);
    ASSERT_EQ(mask.numel(), expected.numel()) << file;
    const double different = mask.flatten().ne(expected.flatten()).to(torch::kDouble).mean().item<double>();
    EXPECT_LE(different, kMaskShare) << file;
}

Prompt boxPrompt(const torch::Tensor& box) {
    Prompt prompt;
    prompt.box.emplace();
    for (int i = 0; i < 4; ++i) prompt.box->at(static_cast<std::size_t>(i)) = box[i].item<double>();
    return prompt;
}

Prompt pointPrompt(const torch::Tensor& points, const torch::Tensor& labels) {
    Prompt prompt;
    for (std::int64_t i = 0; i < points.size(0); ++i)
        prompt.points.push_back(
            {points[i][0].item<double>(), points[i][1].item<double>(), labels[i].item<std::int64_t>() == 1});
    return prompt;
}

class SamPredictorCase {
  public:
    explicit SamPredictorCase(int number) : name_("predictor/case" + std::to_string(number)) {}

    void run() {
        SamPromptedModel model = openModel(SamStyle::Sam);
        const PngPixels picture = pictureOf(array(file("image")));
        model.setPicture(picture);
        const SamFrame& frame = model.frame();
        EXPECT_TRUE(torch::equal(scaledBytes(picture, frame), array(file("resized"))))
            << "Pillow's resize, bit for bit";
        if (exists(file("preprocessed")))
            EXPECT_CLOSE(samInput(picture, frame), floats(file("preprocessed")), kTolerance);
        EXPECT_CLOSE(model.embedding(), floats(file("embedding")), kTolerance);

        const Prompt box = boxPrompt(floats(file("box")));
        const Prompt points = pointPrompt(floats(file("points")), array(file("labels")));
        EXPECT_CLOSE(promptBatch({box}, frame).boxes, floats(file("box_input_frame")), kPositionTolerance);
        EXPECT_CLOSE(promptBatch({points}, frame).points[0], floats(file("points_input_frame")), kPositionTolerance);

        check(model, "box", model.lowResolution({box}, false));
        const MaskPrediction several = model.lowResolution({points}, true);
        check(model, "pts", several);
        const std::int64_t chosen = several.iou[0].argmax().item<std::int64_t>();
        EXPECT_EQ(chosen, array(file("refine_chosen")).item<int>());
        Prompt refined = points;
        refined.box = box.box;
        check(model, "refine", model.lowResolution({refined}, false, several.masks.narrow(1, chosen, 1)));
    }

  private:
    std::string file(const std::string& ending) const { return name_ + "_" + ending + ".npy"; }

    void check(const SamPromptedModel& model, const std::string& kind, const MaskPrediction& prediction) {
        SCOPED_TRACE(name_ + " " + kind);
        EXPECT_CLOSE(prediction.masks[0], floats(file(kind + "_lowres")), kTolerance);
        EXPECT_CLOSE(prediction.iou[0], floats(file(kind + "_iou")), kTolerance);
        const torch::Tensor scores = maskScores(prediction.masks, model.frame());
        if (exists(file(kind + "_logits"))) EXPECT_CLOSE(scores[0], floats(file(kind + "_logits")), kTolerance);
        expectMask(scores, config().at("mask_threshold").get<double>(), file(kind + "_mask"));
    }

    std::string name_;
};

TEST(SamPredictorParity, BoxPointsAndRefinement) {
    REQUIRE_SAM_FIXTURES();
    const int cases = caseCount("predictor", "_image.npy");
    ASSERT_GT(cases, 0);
    for (int i = 0; i < cases; ++i) {
        SCOPED_TRACE(i);
        SamPredictorCase(i).run();
    }
}

TEST(SamPredictorParity, MedsamInference) {
    REQUIRE_SAM_FIXTURES();
    const int cases = caseCount("medsam_infer", "_image.npy");
    ASSERT_GT(cases, 0);
    for (int i = 0; i < cases; ++i) {
        const std::string name = "medsam_infer/case" + std::to_string(i);
        SCOPED_TRACE(name);
        SamPromptedModel model = openModel(SamStyle::Medsam);
        const PngPixels picture = pictureOf(array(name + "_image.npy"));
        model.setPicture(picture);
        const SamFrame& frame = model.frame();
        EXPECT_TRUE(torch::equal(scaledBytes(picture, frame), array(name + "_resized_u8.npy")));
        if (exists(name + "_input.npy"))
            EXPECT_CLOSE(samInput(picture, frame), floats(name + "_input.npy"), kPositionTolerance);
        EXPECT_CLOSE(model.embedding(), floats(name + "_embedding.npy"), kTolerance);
        const torch::Tensor boxes = floats(name + "_box.npy");
        std::vector<Prompt> prompts;
        for (std::int64_t b = 0; b < boxes.size(0); ++b) prompts.push_back(boxPrompt(boxes[b]));
        EXPECT_CLOSE(promptBatch(prompts, frame).boxes, floats(name + "_box_scaled.npy"), 1e-4);
        const MaskPrediction prediction = model.lowResolution(prompts, false);
        EXPECT_CLOSE(prediction.masks, floats(name + "_lowres_logits.npy"), kTolerance);
        const torch::Tensor probabilities = maskScores(prediction.masks, frame);
        EXPECT_CLOSE(probabilities, floats(name + "_prob.npy"), kProbabilityTolerance);
        expectMask(probabilities, maskThreshold(SamStyle::Medsam), name + "_seg.npy");
        // What users call gives the same probabilities, all prompts at once.
        EXPECT_CLOSE(model.segment(prompts, false).scores, floats(name + "_prob.npy").squeeze(1),
                     kProbabilityTolerance);
    }
}

TEST(SamPredictorParity, PostProcessing) {
    REQUIRE_SAM_FIXTURES();
    const std::int64_t inputSize = imageEncoderShape().imageSize;
    for (const auto& item : config().at("postprocess_cases")) {
        SamFrame frame;
        frame.inputSize = inputSize;
        frame.scaledHeight = item.at("input_size_hw").at(0);
        frame.scaledWidth = item.at("input_size_hw").at(1);
        frame.height = item.at("original_size_hw").at(0);
        frame.width = item.at("original_size_hw").at(1);
        EXPECT_CLOSE(maskScores(floats(item.at("input")), frame), floats(item.at("output")), kTolerance);
    }
}

}  // namespace
}  // namespace medseg
