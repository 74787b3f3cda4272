// The layers a U-Net spends its training time in, fused for the CPU: convolution, batch norm and ReLU in one autograd
// node on oneDNN, up-convolution and concatenation in one pass. Libtorch runs the same steps one by one and converts
// layouts between them.
#pragma once

#include <torch/torch.h>

namespace medseg {

/// True if the fused layers can train on `x`: a float or bf16 CPU tensor of four axes, with gradients recorded.
bool canFuse(const torch::Tensor& x);

/// relu(batch_norm(conv2d(x, weight, bias, padding = kernel / 2))) in training mode, with gradients; updates the
/// running statistics as torch::batch_norm does (`momentum` for the new value, unbiased variance). x: (batch, in,
/// height, width); weight: (out, in, k, k), k odd; the vectors have `out` elements. The result is channels-last. Values
/// and gradients equal the separate layers' to rounding. With x in bf16 the products are of bf16 numbers, summed in
/// fp32; result and x's gradient are bf16, weights and their gradients stay fp32.
torch::Tensor convNormRelu(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                           const torch::Tensor& normWeight, const torch::Tensor& normBias, torch::Tensor runningMean,
                           torch::Tensor runningVariance, double momentum, double epsilon);

/// cat(conv_transpose2d(x, weight, bias, stride = 2), skip) along the channels, with gradients.
/// x: (batch, in, height, width); weight: (in, out, 2, 2); bias: (out); skip: (batch, any, 2 height, 2 width). The
/// result is channels-last: first the `out` upsampled channels, then the skip's. x and skip: both float or both bf16,
/// and so is the result.
torch::Tensor upsampleAndConcatenate(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                                     const torch::Tensor& skip);

/// conv2d(x, weight, bias) with a 1x1 kernel as one matrix product over the pixels, in fp32; channels-last result.
torch::Tensor pointwiseConvolution(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace medseg
