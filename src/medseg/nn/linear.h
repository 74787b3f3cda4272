// The linear layer of every transformer here.
#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace medseg {

/// x W^T + b through linearProduct(). Parameters carry the official names: weight (out, in) and bias (out).
class LinearImpl : public torch::nn::Module {
  public:
    LinearImpl(std::int64_t in, std::int64_t out, bool withBias = true);

    /// x: (..., in) to (..., out).
    torch::Tensor forward(const torch::Tensor& x) const;

    torch::Tensor weight;
    torch::Tensor bias;  ///< undefined without bias
};
TORCH_MODULE(Linear);

}  // namespace medseg
