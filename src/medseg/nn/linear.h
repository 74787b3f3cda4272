// The linear layer of every transformer here.
#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace medseg {

/// x W^T + b through linearProduct(). Parameters carry the official names: weight (out, in) and bias (out). A low-rank
/// adapter (nn/lora) adds (alpha / rank) B A x, with parameters lora_A (rank, in) and lora_B (out, rank).
class LinearImpl : public torch::nn::Module {
  public:
    LinearImpl(std::int64_t in, std::int64_t out, bool withBias = true);

    /// x: (..., in) to (..., out).
    torch::Tensor forward(const torch::Tensor& x) const;

    /// Adds an adapter: A from N(0, 0.02^2), B zero, so that the layer computes what it did. `dropout` acts on the
    /// input of A in training mode. Throws UsageError when there is one already.
    void attachAdapter(std::int64_t rank, double alpha, double dropout);
    /// Another alpha and dropout for the adapter there is.
    void configureAdapter(double alpha, double dropout);
    void removeAdapter();
    bool hasAdapter() const { return loraA.defined(); }
    /// Adds the adapter's product to the weight, or takes it out again (exact up to rounding); the adapter stays.
    void mergeAdapter();
    void unmergeAdapter();
    bool isMerged() const { return merged_; }

    torch::Tensor weight;
    torch::Tensor bias;   ///< undefined without bias
    torch::Tensor loraA;  ///< undefined without adapter
    torch::Tensor loraB;

  private:
    double loraScaling_ = 0;
    double loraDropout_ = 0;
    bool merged_ = false;
};
TORCH_MODULE(Linear);

}  // namespace medseg
