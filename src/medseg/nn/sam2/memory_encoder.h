// Memory encoder: a frame's features and its mask as a small memory map (Ravi et al. 2024, section 4).
#pragma once

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam/layer_norm_2d.h"
#include "medseg/nn/sam2/settings.h"

namespace medseg {

/// Mask at image size to the grid of the embedding by four strided convolutions. Parameters: encoder.*.
class MaskDownsamplerImpl : public torch::nn::Module {
  public:
    explicit MaskDownsamplerImpl(std::int64_t channels);
    /// (batch, 1, side, side) to (batch, channels, side / 16, side / 16).
    torch::Tensor forward(const torch::Tensor& masks) { return encoder_->forward(masks); }

  private:
    torch::nn::Sequential encoder_{nullptr};
};
TORCH_MODULE(MaskDownsampler);

/// ConvNeXt block (Liu et al. 2022).
class FuserBlockImpl : public torch::nn::Module {
  public:
    explicit FuserBlockImpl(std::int64_t channels);
    torch::Tensor forward(const torch::Tensor& x);

  private:
    torch::Tensor gamma_;
    torch::nn::Conv2d depthwise_{nullptr};
    LayerNorm2d norm_{nullptr};
    Linear widen_{nullptr};
    Linear narrow_{nullptr};
};
TORCH_MODULE(FuserBlock);

class MemoryEncoderImpl : public torch::nn::Module {
  public:
    explicit MemoryEncoderImpl(const Sam2Settings& settings);

    /// features: (batch, width, g, g), the image embedding; masks: (batch, 1, side, side), already scaled. The result
    /// is (batch, memoryWidth, g, g).
    torch::Tensor forward(const torch::Tensor& features, const torch::Tensor& masks);

  private:
    MaskDownsampler maskDownsampler_{nullptr};
    torch::nn::Conv2d featureProjection_{nullptr};
    torch::nn::ModuleList fuser_{nullptr};
    torch::nn::Conv2d outProjection_{nullptr};
};
TORCH_MODULE(MemoryEncoder);

}  // namespace medseg
