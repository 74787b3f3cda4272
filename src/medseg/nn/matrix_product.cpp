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

}  // namespace medseg
