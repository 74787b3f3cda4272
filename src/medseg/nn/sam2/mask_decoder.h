// The mask decoder of SAM 2: SAM's, with high-resolution features, an object score and the stability rule.
#pragma once

#include <torch/torch.h>

#include "medseg/nn/sam/mlp.h"
#include "medseg/nn/sam/prompt_encoder.h"
#include "medseg/nn/sam/two_way_transformer.h"
#include "medseg/nn/sam2/settings.h"

namespace medseg {

/// Features of the image at strides 4 and 8, after the decoder's 1 x 1 convolutions; undefined without them.
struct HighResolutionFeatures {
    torch::Tensor stride4;  ///< (1 or batch, width / 8, 4 g, 4 g)
    torch::Tensor stride8;  ///< (1 or batch, width / 4, 2 g, 2 g)
};

struct Sam2MaskOutput {
    torch::Tensor masks;        ///< (batch, n, 4 g, 4 g): logits
    torch::Tensor ious;         ///< (batch, n): expected quality, 0..1
    torch::Tensor tokens;       ///< (batch, n or 1, width): output tokens, from which object pointers are made
    torch::Tensor objectScore;  ///< (batch, 1): logit; above 0 the object is there
};

/// What the stability rule made of single masks.
struct StabilityChoice {
    torch::Tensor masks;      ///< (batch, 1, h, w)
    torch::Tensor ious;       ///< (batch, 1)
    torch::Tensor stability;  ///< (batch): share of the area at logit > -delta that is also above delta; 1 without area
};

/// Keeps mask 0 of `masks` (batch, 1 + n, h, w) where its stability reaches `threshold`, else takes the one of the
/// others with the best expected quality.
StabilityChoice chooseByStability(const torch::Tensor& masks, const torch::Tensor& ious, double delta,
                                  double threshold);

class Sam2MaskDecoderImpl : public torch::nn::Module {
  public:
    explicit Sam2MaskDecoderImpl(const Sam2Settings& settings);

    /// The decoder's 1 x 1 convolutions of neck levels 0 and 1.
    HighResolutionFeatures reduce(const torch::Tensor& level0, const torch::Tensor& level1);

    /// All mask tokens: token 0 is the single mask, 1.. are the candidates of an ambiguous prompt.
    /// embedding: (1 or batch, width, g, g), repeated for the prompts; gridPosition: (1, width, g, g).
    Sam2MaskOutput allMasks(const torch::Tensor& embedding, const torch::Tensor& gridPosition,
                            const PromptEmbedding& prompt, const HighResolutionFeatures& features);

    /// The candidates when `multimask`, else one mask: token 0, under the stability rule unless in training mode.
    Sam2MaskOutput forward(const torch::Tensor& embedding, const torch::Tensor& gridPosition,
                           const PromptEmbedding& prompt, const HighResolutionFeatures& features, bool multimask);

    /// Turns the stability rule on or off.
    void setStabilityRule(bool on) { stabilityRule_ = on; }

  private:
    torch::Tensor upscale(const torch::Tensor& map, const HighResolutionFeatures& features);

    std::int64_t masks_;
    bool stabilityRule_;
    double stabilityDelta_;
    double stabilityThreshold_;
    TwoWayTransformer transformer_{nullptr};
    torch::nn::Embedding iouToken_{nullptr};
    torch::nn::Embedding maskTokens_{nullptr};
    torch::nn::Embedding objectToken_{nullptr};
    torch::nn::Sequential upscaling_{nullptr};
    torch::nn::Conv2d reduce4_{nullptr};
    torch::nn::Conv2d reduce8_{nullptr};
    torch::nn::ModuleList hypernetworks_{nullptr};
    LayeredMlp iouHead_{nullptr};
    LayeredMlp objectHead_{nullptr};
};
TORCH_MODULE(Sam2MaskDecoder);

}  // namespace medseg
