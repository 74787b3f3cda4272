// Hiera: the hierarchical vision transformer that encodes images for SAM 2 (Ryali et al. 2023; Bolya et al. 2023 for
// the windowed position embedding).
#pragma once

#include <functional>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam/mlp.h"
#include "medseg/nn/sam2/settings.h"

namespace medseg {

/// Splits tokens (batch, h, w, channels) into square windows, padded with zeros at the bottom and right:
/// (batch * windows, side, side, channels).
torch::Tensor partitionWindows(const torch::Tensor& x, std::int64_t side);

/// Back from windows to (batch, height, width, channels), without the padding.
torch::Tensor joinWindows(const torch::Tensor& windows, std::int64_t side, std::int64_t height, std::int64_t width);

/// 2 x 2 (stride x stride) maximum over tokens (batch, h, w, channels).
torch::Tensor poolTokens(const torch::Tensor& x, std::int64_t stride);

/// Attention whose queries may be pooled, so that the grid shrinks. Parameters: qkv.*, proj.*.
class HieraAttentionImpl : public torch::nn::Module {
  public:
    /// `queryStride`: 1 leaves the grid as it is.
    HieraAttentionImpl(const HieraBlockSettings& block, std::int64_t queryStride);

    /// x: (windows, h, w, dim); the result is (windows, h / stride, w / stride, dimOut).
    torch::Tensor forward(const torch::Tensor& x);

  private:
    std::int64_t heads_;
    std::int64_t queryStride_;
    Linear qkv_{nullptr};
    Linear proj_{nullptr};
};
TORCH_MODULE(HieraAttention);

/// One block; (batch, h, w, dim) to (batch, h, w, dimOut), the grid halved where queries are pooled.
class HieraBlockImpl : public torch::nn::Module {
  public:
    HieraBlockImpl(const HieraBlockSettings& block, const Sam2TrunkSettings& trunk);

    torch::Tensor forward(const torch::Tensor& x);

  private:
    HieraBlockSettings block_;
    std::int64_t queryStride_;
    torch::nn::LayerNorm norm1_{nullptr};
    HieraAttention attention_{nullptr};
    torch::nn::LayerNorm norm2_{nullptr};
    LayeredMlp mlp_{nullptr};
    Linear proj_{nullptr};  ///< of the residual, where channels change
};
TORCH_MODULE(HieraBlock);

/// 7 x 7 convolution with stride 4 for Hiera, one patch a token for a ViT. Parameters: proj.*.
class Sam2PatchEmbeddingImpl : public torch::nn::Module {
  public:
    Sam2PatchEmbeddingImpl(std::int64_t channels, std::int64_t kernel, std::int64_t stride, std::int64_t padding);

    /// (batch, 3, h, w) to tokens (batch, h / stride, w / stride, channels).
    torch::Tensor forward(const torch::Tensor& images);

  private:
    torch::nn::Conv2d proj_{nullptr};
};
TORCH_MODULE(Sam2PatchEmbedding);

/// What happens inside the trunk: "patch_embed", "pos_embed" and "block_I" with tokens (batch, h, w, channels).
using TrunkObserver = std::function<void(const std::string& name, const torch::Tensor& tokens)>;

/// An image encoder before its neck: (batch, 3, side, side) to feature maps (batch, channels, h, w), finest first.
class Sam2TrunkImpl : public torch::nn::Module {
  public:
    virtual std::vector<torch::Tensor> forward(const torch::Tensor& images, const TrunkObserver& observer) = 0;
};

class HieraImpl : public Sam2TrunkImpl {
  public:
    explicit HieraImpl(const Sam2TrunkSettings& settings);

    std::vector<torch::Tensor> forward(const torch::Tensor& images, const TrunkObserver& observer) override;

    /// Coarse embedding resized to the grid plus the window's embedding repeated over it: (1, h, w, channels).
    torch::Tensor positionEmbedding(std::int64_t height, std::int64_t width) const;

  private:
    std::vector<std::int64_t> stageEnds_;
    torch::Tensor background_;
    torch::Tensor window_;
    Sam2PatchEmbedding patchEmbedding_{nullptr};
    torch::nn::ModuleList blocks_{nullptr};
};

}  // namespace medseg
