// Memory attention: the current frame looks at the memories of other frames (Ravi et al. 2024, section 4).
#pragma once

#include <cstdint>
#include <functional>

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam2/position_encoding.h"
#include "medseg/nn/sam2/settings.h"

namespace medseg {

/// Attention with rotary positions. Parameters: q_proj, k_proj, v_proj, out_proj.
class RotaryAttentionImpl : public torch::nn::Module {
  public:
    /// `keyWidth`: channels of keys and values.
    RotaryAttentionImpl(std::int64_t width, std::int64_t heads, std::int64_t keyWidth, double theta, double dropout);

    /// q: (batch, n, width), n a square number; k, v: (batch, m, keyWidth). All but the last `unrotated` keys repeat
    /// the grid of the queries.
    torch::Tensor forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                          std::int64_t unrotated = 0);

  private:
    const RotaryTable& tableFor(std::int64_t side, const torch::TensorOptions& options);

    std::int64_t heads_;
    std::int64_t headWidth_;
    double theta_;
    double dropout_;
    std::int64_t tableSide_ = 0;
    RotaryTable table_;
    Linear q_proj_{nullptr};
    Linear k_proj_{nullptr};
    Linear v_proj_{nullptr};
    Linear out_proj_{nullptr};
};
TORCH_MODULE(RotaryAttention);

class MemoryAttentionLayerImpl : public torch::nn::Module {
  public:
    explicit MemoryAttentionLayerImpl(const Sam2Settings& settings);

    /// All batch first. Positions are added to the keys of the memory only.
    torch::Tensor forward(torch::Tensor current, const torch::Tensor& memory, const torch::Tensor& memoryPositions,
                          std::int64_t pointerTokens);

  private:
    double dropout_;
    RotaryAttention selfAttention_{nullptr};
    RotaryAttention crossAttention_{nullptr};
    Linear linear1_{nullptr};
    Linear linear2_{nullptr};
    torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr};
};
TORCH_MODULE(MemoryAttentionLayer);

class MemoryAttentionImpl : public torch::nn::Module {
  public:
    explicit MemoryAttentionImpl(const Sam2Settings& settings);

    /// current and its positions: (tokens, batch, width); memory and its positions: (memory tokens, batch,
    /// memoryWidth), the last `pointerTokens` of which are pieces of object pointers. The result is like `current`.
    /// `observer` receives every layer's output (batch first).
    torch::Tensor forward(const torch::Tensor& current, const torch::Tensor& currentPositions,
                          const torch::Tensor& memory, const torch::Tensor& memoryPositions, std::int64_t pointerTokens,
                          const std::function<void(std::size_t, const torch::Tensor&)>& observer = {});

  private:
    torch::nn::ModuleList layers_{nullptr};
    torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(MemoryAttention);

}  // namespace medseg
