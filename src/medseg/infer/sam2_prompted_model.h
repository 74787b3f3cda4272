// SAM 2 and its relatives as prompted models: prompts that stay on their slice.
#pragma once

#include "medseg/infer/prompted_model.h"
#include "medseg/nn/autocast.h"
#include "medseg/nn/sam2/model_file.h"

namespace medseg {

class Sam2PromptedModel : public PromptedModel {
  public:
    Sam2PromptedModel(LoadedSam2 loaded, const torch::Device& device, ProductPrecision precision);

    void setPicture(const PngPixels& picture) override;
    PromptedMasks segment(const std::vector<Prompt>& prompts, bool multimask) override;
    std::string describe() const override;
    PictureRules pictureRules() const override;
    TrainingNote trainingNote() const override;

  private:
    PromptBatch batchOf(const std::vector<Prompt>& prompts) const;

    LoadedSam2 loaded_;
    ProductPrecision precision_;  ///< of the image encoder
    torch::Tensor embedding_;
    HighResolutionFeatures features_;
    std::int64_t height_ = 0;
    std::int64_t width_ = 0;
};

}  // namespace medseg
