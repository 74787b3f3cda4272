// The Segment Anything Model (Kirillov et al. 2023) and its relatives MedSAM (Ma et al. 2024), MobileSAM and
// LiteMedSAM: an image encoder, run once an image, and a light decoder, run for every prompt.
#pragma once

#include <memory>
#include <string>

#include <torch/torch.h>

#include "medseg/nn/sam/image_encoder.h"
#include "medseg/nn/sam/mask_decoder.h"
#include "medseg/nn/sam/prompt_encoder.h"
#include "medseg/nn/sam/tiny_vit.h"

namespace medseg {

enum class SamEncoderKind { Vit, TinyVit };

struct SamShape {
    SamEncoderKind encoder = SamEncoderKind::Vit;
    ImageEncoderShape vit;  ///< Vit
    TinyVitShape tinyVit;   ///< TinyVit
    PromptEncoderShape prompt;
    MaskDecoderShape decoder;

    /// Pixels of the network's input along both axes.
    std::int64_t imageSize() const { return prompt.imageHeight; }
    /// Pixels of the low-resolution masks along both axes.
    std::int64_t maskSize() const { return 4 * prompt.gridHeight; }
};

/// State dict names are the official ones: image_encoder.*, prompt_encoder.*, mask_decoder.*.
class SamImpl : public torch::nn::Module {
  public:
    explicit SamImpl(const SamShape& shape);

    /// image: (batch, 3, size, size), prepared, to (batch, channels, grid, grid).
    torch::Tensor encodeImage(const torch::Tensor& image) { return imageEncoder->forward(image); }
    /// embedding: (1 or batch of the prompts, channels, grid, grid).
    MaskPrediction decode(const torch::Tensor& embedding, const PromptBatch& prompts, bool multimask);

    const SamShape& shape() const { return shape_; }

    std::shared_ptr<SamImageEncoder> imageEncoder;
    PromptEncoder promptEncoder{nullptr};
    MaskDecoder maskDecoder{nullptr};

  private:
    SamShape shape_;
};
TORCH_MODULE(Sam);

}  // namespace medseg
