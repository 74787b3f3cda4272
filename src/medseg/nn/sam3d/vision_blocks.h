// The pre-norm transformer block of DINOv2 and of the pointmap embedder, with the names of timm and DINOv2.
#pragma once

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam3d/flow_layers.h"

namespace medseg {

struct VisionBlockShape {
    std::int64_t width = 1024;
    std::int64_t heads = 16;
    double mlpRatio = 4;
    double epsilon = 1e-6;
    bool layerScale = false;  ///< learnt factors ls1.gamma and ls2.gamma on both branches
};

/// x + attention(norm1(x)), then + mlp(norm2(x)) with exact GELU. Names: norm1, attn.qkv, attn.proj, norm2, mlp.fc1,
/// mlp.fc2, ls1, ls2.
class VisionBlockImpl : public torch::nn::Module {
  public:
    explicit VisionBlockImpl(const VisionBlockShape& shape);
    /// x: (batch, tokens, width).
    torch::Tensor forward(const torch::Tensor& x);

  private:
    torch::Tensor attention(const torch::Tensor& x);

    VisionBlockShape shape_;
    TokenNorm norm1_{nullptr}, norm2_{nullptr};
    Linear qkv_{nullptr}, projection_{nullptr}, first_{nullptr}, second_{nullptr};
    torch::Tensor scale1_, scale2_;
};
TORCH_MODULE(VisionBlock);

}  // namespace medseg
