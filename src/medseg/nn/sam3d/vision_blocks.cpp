#include "medseg/nn/sam3d/vision_blocks.h"

#include <cmath>

#include "medseg/nn/matrix_product.h"

namespace medseg {

VisionBlockImpl::VisionBlockImpl(const VisionBlockShape& shape) : shape_(shape) {
    const auto container = [&](const char* name) {
        return register_module(name, std::make_shared<torch::nn::Module>());
    };
    const auto hidden = static_cast<std::int64_t>(static_cast<double>(shape.width) * shape.mlpRatio);
    norm1_ = register_module("norm1", TokenNorm(shape.width, shape.epsilon, true));
    const auto attn = container("attn");
    qkv_ = attn->register_module("qkv", Linear(shape.width, 3 * shape.width));
    projection_ = attn->register_module("proj", Linear(shape.width, shape.width));
    norm2_ = register_module("norm2", TokenNorm(shape.width, shape.epsilon, true));
    const auto mlp = container("mlp");
    first_ = mlp->register_module("fc1", Linear(shape.width, hidden));
    second_ = mlp->register_module("fc2", Linear(hidden, shape.width));
    if (shape.layerScale) {
        scale1_ = container("ls1")->register_parameter("gamma", torch::ones({shape.width}));
        scale2_ = container("ls2")->register_parameter("gamma", torch::ones({shape.width}));
    }
}

torch::Tensor VisionBlockImpl::attention(const torch::Tensor& x) {
    const auto parts = qkv_->forward(x).chunk(3, -1);
    const auto heads = [&](const torch::Tensor& part) { return splitHeads(part, shape_.heads).transpose(1, 2); };
    const double scale = 1.0 / std::sqrt(static_cast<double>(shape_.width / shape_.heads));
    return projection_->forward(joinHeads(attentionProduct(heads(parts[0]), heads(parts[1]), heads(parts[2]), scale)));
}

torch::Tensor VisionBlockImpl::forward(const torch::Tensor& x) {
    auto branch = attention(norm1_->forward(x));
    if (shape_.layerScale) branch = branch * scale1_;
    const auto y = x + branch;
    branch = second_->forward(torch::gelu(first_->forward(norm2_->forward(y))));
    if (shape_.layerScale) branch = branch * scale2_;
    return y + branch;
}

}  // namespace medseg
