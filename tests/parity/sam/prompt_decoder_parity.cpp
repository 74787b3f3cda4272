// Prompt encoder and mask decoder against the files of prompt/ and decoder/.
#include <gtest/gtest.h>

#include "parity/sam/sam_fixture.h"
#include "parity/sam/sam_shapes.h"

namespace medseg {
namespace sam_fixture {

PromptBatch promptsOf(std::string stem) {
    PromptBatch prompts;
    // A stem joins the names of its inputs: "box_points_mask" is in_box, in_points and in_mask.
    while (!stem.empty()) {
        std::string name = stem;
        while (!exists("prompt/in_" + name + ".npy")) {
            const auto cut = name.rfind('_');
            if (cut == std::string::npos) throw std::runtime_error("no prompt input for " + stem);
            name.resize(cut);
        }
        const torch::Tensor values = floats("prompt/in_" + name + ".npy");
        if (exists("prompt/in_" + name + "_labels.npy")) {
            prompts.points = values;
            prompts.labels = array("prompt/in_" + name + "_labels.npy");
        } else if (values.dim() == 4) {
            prompts.masks = values;
        } else {
            prompts.boxes = values;
        }
        stem = stem.size() > name.size() ? stem.substr(name.size() + 1) : "";
    }
    return prompts;
}

}  // namespace sam_fixture

namespace {

using namespace sam_fixture;

class SamDecoderParity : public ::testing::Test {
  protected:
    void SetUp() override {
        REQUIRE_SAM_FIXTURES();
        encoder_ = PromptEncoder(promptEncoderShape());
        decoder_ = MaskDecoder(maskDecoderShape());
        load(*encoder_, "prompt_encoder.");
        load(*decoder_, "mask_decoder.");
        image_ = floats("encoder/image_embedding.npy").narrow(0, 0, 1);
    }

    torch::NoGradGuard noGradient_;
    PromptEncoder encoder_{nullptr};
    MaskDecoder decoder_{nullptr};
    torch::Tensor image_;
};

TEST_F(SamDecoderParity, GridPosition) {
    EXPECT_CLOSE(encoder_->gridPosition(), floats("prompt/dense_pe.npy"), kPositionTolerance);
}

TEST_F(SamDecoderParity, PromptEmbeddings) {
    for (const std::string& stem : namesEnding("prompt", "_sparse.npy")) {
        SCOPED_TRACE(stem);
        EXPECT_CLOSE(encoder_->forward(promptsOf(stem)).sparse, floats("prompt/" + stem + "_sparse.npy"),
                     kPositionTolerance);
    }
    for (const std::string& stem : namesEnding("prompt", "_dense.npy")) {
        SCOPED_TRACE(stem);
        EXPECT_CLOSE(encoder_->forward(promptsOf(stem)).dense, floats("prompt/" + stem + "_dense.npy"), kTolerance);
    }
}

TEST_F(SamDecoderParity, AMaskAloneGivesNoTokens) {
    const PromptEmbedding embedding = encoder_->forward(promptsOf("mask"));
    EXPECT_EQ(embedding.sparse.sizes(), (std::vector<std::int64_t>{1, 0, encoder_->shape().width}));
}

TEST_F(SamDecoderParity, TransformerOutputs) {
    const auto stems = namesEnding("decoder", "_transformer_tokens.npy");
    ASSERT_FALSE(stems.empty());
    for (const std::string& stem : stems) {
        SCOPED_TRACE(stem);
        const auto state = decoder_->transform(image_, encoder_->gridPosition(), encoder_->forward(promptsOf(stem)));
        EXPECT_CLOSE(state.tokens, floats("decoder/" + stem + "_transformer_tokens.npy"), kTolerance);
        EXPECT_CLOSE(state.image, floats("decoder/" + stem + "_transformer_image.npy"), kTolerance);
    }
}

TEST_F(SamDecoderParity, MasksAndQuality) {
    for (const bool multimask : {false, true}) {
        const std::string kind = multimask ? "_multi" : "_single";
        const auto stems = namesEnding("decoder", kind + "_masks.npy");
        ASSERT_FALSE(stems.empty());
        for (const std::string& stem : stems) {
            SCOPED_TRACE(stem + kind);
            const MaskPrediction prediction =
                decoder_->forward(image_, encoder_->gridPosition(), encoder_->forward(promptsOf(stem)), multimask);
            EXPECT_CLOSE(prediction.masks, floats("decoder/" + stem + kind + "_masks.npy"), kTolerance);
            EXPECT_CLOSE(prediction.iou, floats("decoder/" + stem + kind + "_iou.npy"), kTolerance);
        }
    }
}

TEST_F(SamDecoderParity, SeveralPromptsEqualOneAfterTheOther) {
    PromptBatch prompts = promptsOf("boxes3");
    const MaskPrediction together =
        decoder_->forward(image_, encoder_->gridPosition(), encoder_->forward(prompts), false);
    for (std::int64_t i = 0; i < prompts.boxes.size(0); ++i) {
        PromptBatch one;
        one.boxes = prompts.boxes.narrow(0, i, 1);
        const MaskPrediction alone = decoder_->forward(image_, encoder_->gridPosition(), encoder_->forward(one), false);
        EXPECT_CLOSE(together.masks.narrow(0, i, 1), alone.masks, kTolerance);
    }
}

}  // namespace
}  // namespace medseg
