// The matrix products that transformers spend their time in, behind one seam: everything that multiplies matrices on a
// CPU comes through here, so that a faster way serves every model.
#pragma once

#include <torch/torch.h>

namespace medseg {

/// x W^T + b with gradients. x: (..., in); weight: (out, in); bias: (out) or undefined. The result is (..., out). In an
/// AutocastScope for bf16 on the CPU x, W and b are rounded to bf16, and so is the result; it comes back as float.
torch::Tensor linearProduct(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

/// a b of two matrices, without gradients. Fast where each is dense along one of its axes.
torch::Tensor matrixProduct(const torch::Tensor& a, const torch::Tensor& b);

/// softmax(scale q k^T + bias) v with gradients. q: (batch, heads, n, d); k and v: (batch, heads, m, d); bias is
/// undefined or broadcasts to (batch, heads, n, m). The result is (batch, heads, n, d).
torch::Tensor attentionProduct(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                               const torch::Tensor& bias = {});

/// attentionProduct() of keys on a grid of `gh` rows and `gw` columns (m = gh gw, key r gw + c at row r, column c),
/// whose bias is the sum of one term for the key's row and one for its column: bias[.., r gw + c] = relHeight[.., r] +
/// relWidth[.., c], the decomposed relative positions of SAM (Li et al. 2021, "MViTv2"). relHeight: (batch, heads, n,
/// gh); relWidth: (batch, heads, n, gw); both with gradients. The terms come from the unscaled q in SAM.
torch::Tensor relativePositionAttention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                        double scale, const torch::Tensor& relHeight, const torch::Tensor& relWidth);

}  // namespace medseg
