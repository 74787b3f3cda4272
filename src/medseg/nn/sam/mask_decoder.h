// From image embedding and prompt embeddings to masks and their expected quality: the mask decoder of SAM.
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "medseg/nn/sam/mlp.h"
#include "medseg/nn/sam/prompt_encoder.h"
#include "medseg/nn/sam/two_way_transformer.h"

namespace medseg {

struct MaskDecoderShape {
    TwoWayShape transformer;
    std::int64_t multimaskOutputs = 3;  ///< masks of an ambiguous prompt, beside the single one
    int iouHeadDepth = 3;
    std::int64_t iouHeadWidth = 256;
};

struct MaskPrediction {
    torch::Tensor masks;  ///< (batch, n, 4 h, 4 w): logits; n = 1, or multimaskOutputs
    torch::Tensor iou;    ///< (batch, n): expected IoU, not clipped
};

class MaskDecoderImpl : public torch::nn::Module {
  public:
    explicit MaskDecoderImpl(const MaskDecoderShape& shape);

    /// image: (1 or batch, width, h, w); a single image serves all prompts. gridPosition: (1, width, h, w).
    /// `multimask`: masks 1.. for ambiguous prompts instead of mask 0.
    MaskPrediction forward(const torch::Tensor& image, const torch::Tensor& gridPosition, const PromptEmbedding& prompt,
                           bool multimask);

    /// The transformer's outputs: tokens in the order IoU, masks, prompts.
    TokensAndImage transform(const torch::Tensor& image, const torch::Tensor& gridPosition,
                             const PromptEmbedding& prompt);

  private:
    MaskDecoderShape shape_;
    TwoWayTransformer transformer_{nullptr};
    torch::nn::Embedding iouToken_{nullptr};
    torch::nn::Embedding maskTokens_{nullptr};
    torch::nn::Sequential upscaling_{nullptr};
    torch::nn::ModuleList hypernetworks_{nullptr};  ///< from a mask token to the weights of the upscaled features
    LayeredMlp iouHead_{nullptr};
};
TORCH_MODULE(MaskDecoder);

}  // namespace medseg
