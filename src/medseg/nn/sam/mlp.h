// The two kinds of multi-layer perceptron in the SAM family; they differ in parameter names and activation.
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "medseg/nn/linear.h"

namespace medseg {

enum class Activation { Relu, Gelu };  ///< Gelu is the exact (erf) form

torch::Tensor activate(const torch::Tensor& x, Activation activation);

/// `count` linear layers with an activation between them: prediction heads, and the MLPs of SAM 2's decoder.
/// Parameters: layers.I.weight, layers.I.bias.
class LayeredMlpImpl : public torch::nn::Module {
  public:
    /// `sigmoid`: the output goes through a sigmoid (IoU head of SAM 2).
    LayeredMlpImpl(std::int64_t in, std::int64_t hidden, std::int64_t out, int count, bool sigmoid = false,
                   Activation activation = Activation::Relu);

    /// x: (..., in) to (..., out).
    torch::Tensor forward(torch::Tensor x) const;

    torch::nn::ModuleList layers;

  private:
    bool sigmoid_;
    Activation activation_;
};
TORCH_MODULE(LayeredMlp);

/// Two linear layers with an activation between them: the MLP of transformer blocks. Parameters: lin1.*, lin2.*.
class MlpBlockImpl : public torch::nn::Module {
  public:
    MlpBlockImpl(std::int64_t width, std::int64_t hidden, Activation activation);

    torch::Tensor forward(const torch::Tensor& x) const;

    Linear lin1{nullptr};
    Linear lin2{nullptr};

  private:
    Activation activation_;
};
TORCH_MODULE(MlpBlock);

}  // namespace medseg
