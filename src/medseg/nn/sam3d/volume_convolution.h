// Convolutions of 3x3x3 over volumes with few channels, where oneDNN falls back to a loop that is a hundred times
// slower (4 channels at 64^3: 6 s forward and backward for a batch of 8 on one thread).
#pragma once

#include <torch/torch.h>

namespace medseg {

/// x (N, C, X, Y, Z) with zeros around it, weight (O, C, 3, 3, 3), bias (O) -> (N, O, X, Y, Z), with gradients. As
/// torch::conv3d with padding 1; a kernel of its own for float tensors on the CPU of at most 32 channels.
torch::Tensor volumeConvolution(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

/// torch::nn::Conv3d of 3x3x3 with padding 1 through volumeConvolution().
class VolumeConvolutionImpl : public torch::nn::Conv3dImpl {
  public:
    VolumeConvolutionImpl(std::int64_t in, std::int64_t out)
        : Conv3dImpl(torch::nn::Conv3dOptions(in, out, 3).padding(1)) {}
    torch::Tensor forward(const torch::Tensor& x) { return volumeConvolution(x, weight, bias); }
};
TORCH_MODULE(VolumeConvolution);

}  // namespace medseg
