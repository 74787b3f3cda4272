// Networks that segment what a user points at.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/dataset/prompts.h"
#include "medseg/io/png.h"
#include "medseg/nn/network_module.h"

namespace medseg {

/// Masks of some prompts on one picture.
struct PromptedMasks {
    torch::Tensor scores;  ///< float (prompts, height, width): probabilities 0..1; inside from 0.5 on
    torch::Tensor iou;     ///< float (prompts): IoU the network expects
};

/// How a network was trained, as far as its file tells.
struct TrainingNote {
    int epochs = 0;               ///< 0: unknown
    std::string precision = "-";  ///< apex's names: "O0" for fp32, "O1" for half precision
};

class PromptedModel {
  public:
    virtual ~PromptedModel() = default;

    /// Computes the embedding of a picture; later segment() calls are about it.
    virtual void setPicture(const PngPixels& picture) = 0;
    /// All prompts must have the same make-up (box or not, number of points); slice and label do not matter. Of several
    /// candidates for a prompt the one with the highest expected IoU is returned (`multimask`).
    virtual PromptedMasks segment(const std::vector<Prompt>& prompts, bool multimask) = 0;
    /// "SAM vit_b, input 1024, style medsam"
    virtual std::string describe() const = 0;
    /// How volumes become pictures: nothing known unless medseg trained it.
    virtual PictureRules pictureRules() const = 0;
    virtual TrainingNote trainingNote() const = 0;
};

/// Opens any checkpoint of a promptable network. `style`: "auto", "sam", "medsam" or "litemedsam". Throws DataError for
/// other files, UsageError for unknown styles and devices. `precision` of the image encoder's products: fp32 or bf16.
std::unique_ptr<PromptedModel> openPromptedModel(const std::filesystem::path& path, const std::string& style,
                                                 const std::string& device, const std::string& precision = "fp32");

}  // namespace medseg
