// Layer normalisation over the channels of feature maps.
#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace medseg {

/// Normalises every pixel of (batch, channels, h, w) over its channels (biased variance), then scales and shifts each
/// channel. Parameters carry the official names: weight (channels), bias (channels).
class LayerNorm2dImpl : public torch::nn::Module {
  public:
    explicit LayerNorm2dImpl(std::int64_t channels, double eps = 1e-6);

    torch::Tensor forward(const torch::Tensor& x);  // not const: torch::nn::Sequential asks for it

    torch::Tensor weight;
    torch::Tensor bias;

  private:
    double eps_;
};
TORCH_MODULE(LayerNorm2d);

}  // namespace medseg
