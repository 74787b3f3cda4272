// SAM and its relatives as prompted models.
#pragma once

#include "medseg/infer/prompted_model.h"
#include "medseg/infer/sam_image.h"
#include "medseg/nn/autocast.h"
#include "medseg/nn/sam/sam_file.h"

namespace medseg {

class SamPromptedModel : public PromptedModel {
  public:
    SamPromptedModel(LoadedSam loaded, SamStyle style, const torch::Device& device,
                     ProductPrecision precision = ProductPrecision::Fp32);

    void setPicture(const PngPixels& picture) override;
    PromptedMasks segment(const std::vector<Prompt>& prompts, bool multimask) override;
    std::string describe() const override;
    PictureRules pictureRules() const override;
    TrainingNote trainingNote() const override;

    const torch::Tensor& embedding() const { return embedding_; }
    const SamFrame& frame() const { return frame_; }
    /// Decoder outputs for prompts in the frame of the current picture, before any post-processing. `masks`: logits of
    /// an earlier call as a further prompt, or undefined.
    MaskPrediction lowResolution(const std::vector<Prompt>& prompts, bool multimask, const torch::Tensor& masks = {});

  private:
    LoadedSam loaded_;
    SamStyle style_;
    torch::Device device_;
    ProductPrecision precision_;  ///< of the image encoder
    SamFrame frame_;
    torch::Tensor embedding_;
};

/// Points and boxes of prompts of one make-up as tensors, in pixels of the network's input.
PromptBatch promptBatch(const std::vector<Prompt>& prompts, const SamFrame& frame);

}  // namespace medseg
