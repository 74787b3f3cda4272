#include "medseg/nn/matrix_product.h"

namespace medseg {

torch::Tensor linearProduct(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
    return torch::linear(x, weight, bias);
}

torch::Tensor attentionProduct(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                               const torch::Tensor& bias) {
    torch::Tensor logits = torch::matmul(q * scale, k.transpose(-2, -1));
    if (bias.defined()) logits = logits + bias;
    return torch::matmul(torch::softmax(logits, -1), v);
}

torch::Tensor relativePositionAttention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                        double scale, const torch::Tensor& relHeight, const torch::Tensor& relWidth) {
    return attentionProduct(q, k, v, scale, (relHeight.unsqueeze(-1) + relWidth.unsqueeze(-2)).flatten(-2));
}

}  // namespace medseg
