// The transformer between prompt tokens and image cells that SAM and SAM 2 share (Kirillov et al. 2023, appendix A).
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam/mlp.h"

namespace medseg {

/// Attention whose inner width may be smaller than that of its inputs. Parameters: q_proj, k_proj, v_proj, out_proj.
class DownsampledAttentionImpl : public torch::nn::Module {
  public:
    /// `downsample`: width / inner width. `keyWidth`: channels of keys and values, 0 = `width`.
    DownsampledAttentionImpl(std::int64_t width, std::int64_t heads, std::int64_t downsample = 1,
                             std::int64_t keyWidth = 0);

    /// q: (batch, n, width); k and v: (batch, m, keyWidth). The result is (batch, n, width). Logits are divided by the
    /// square root of the inner width of one head.
    torch::Tensor forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v) const;

    Linear q_proj{nullptr};
    Linear k_proj{nullptr};
    Linear v_proj{nullptr};
    Linear out_proj{nullptr};

  private:
    std::int64_t heads_;
};
TORCH_MODULE(DownsampledAttention);

/// How the two layers of a block's MLP are named: mlp.lin1, mlp.lin2 (SAM) or mlp.layers.0, mlp.layers.1 (SAM 2).
enum class MlpNames { Lin, Layers };

struct TwoWayShape {
    std::int64_t depth = 2;
    std::int64_t width = 256;
    std::int64_t heads = 8;
    std::int64_t mlpWidth = 2048;
    std::int64_t downsample = 2;  ///< of the cross-attention
    MlpNames mlpNames = MlpNames::Lin;
};

/// Tokens (batch, n, width) and image cells (batch, h w, width, row by row).
struct TokensAndImage {
    torch::Tensor tokens;
    torch::Tensor image;
};

/// Self-attention of the tokens, tokens to image, MLP, image to tokens; each followed by a layer norm.
class TwoWayBlockImpl : public torch::nn::Module {
  public:
    /// `first`: the self-attention adds no positions, and its result replaces the tokens instead of being added.
    TwoWayBlockImpl(const TwoWayShape& shape, bool first);

    /// `tokenPosition`, `imagePosition`: added to queries and keys, never to values.
    TokensAndImage forward(TokensAndImage state, const torch::Tensor& tokenPosition,
                           const torch::Tensor& imagePosition);

  private:
    torch::Tensor mlp(const torch::Tensor& x) const;

    bool first_;
    DownsampledAttention selfAttention_{nullptr};
    DownsampledAttention tokenToImage_{nullptr};
    DownsampledAttention imageToToken_{nullptr};
    MlpBlock mlpBlock_{nullptr};
    LayeredMlp layeredMlp_{nullptr};
    torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr}, norm4_{nullptr};
};
TORCH_MODULE(TwoWayBlock);

class TwoWayTransformerImpl : public torch::nn::Module {
  public:
    explicit TwoWayTransformerImpl(const TwoWayShape& shape);

    /// image and imagePosition: (batch, width, h, w), the position's batch may be 1; tokens: (batch, n, width), which
    /// are also their own positions.
    TokensAndImage forward(const torch::Tensor& image, const torch::Tensor& imagePosition, const torch::Tensor& tokens);

  private:
    torch::nn::ModuleList layers_{nullptr};
    DownsampledAttention finalAttention_{nullptr};
    torch::nn::LayerNorm finalNorm_{nullptr};
};
TORCH_MODULE(TwoWayTransformer);

}  // namespace medseg
