#include "medseg/nn/sam3d/sparse_transformer.h"

namespace medseg {
namespace {

constexpr double kBlockEpsilon = 1e-6;

}  // namespace

SparseTransformerBlockImpl::SparseTransformerBlockImpl(const SparseTransformerShape& shape)
    : norm_(shape.width, kBlockEpsilon, false) {
    attention_ = register_module("attn", SparseSelfAttention(shape.width, shape.heads, shape.headNorm));
    mlp_ = register_module("mlp", FlowMlp(shape.width, shape.mlpRatio));
}

torch::Tensor SparseTransformerBlockImpl::forward(const torch::Tensor& x, const AttentionGroups& groups) {
    const auto attended = x + attention_->forward(norm_->forward(x), groups);
    return attended + mlp_->forward(norm_->forward(attended));
}

SparseTransformerImpl::SparseTransformerImpl(const SparseTransformerShape& shape) : shape_(shape) {
    input_ = register_module("input_layer", Linear(shape.inChannels, shape.width));
    torch::nn::init::xavier_uniform_(input_->weight);
    torch::nn::init::zeros_(input_->bias);
    const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>());
    for (std::int64_t i = 0; i < shape.blocks; ++i)
        blocks_.push_back(blocks->register_module(std::to_string(i), SparseTransformerBlock(shape)));
}

torch::Tensor SparseTransformerImpl::embed(const torch::Tensor& features, const SparseStructure& structure) {
    return input_->forward(features) + sinusoidalPositions(structure.positions(), shape_.width).to(features.device());
}

torch::Tensor SparseTransformerImpl::runBlock(std::int64_t index, const torch::Tensor& x, SparseStructure& structure) {
    const AttentionGroups& groups =
        shape_.window > 0 ? structure.windows(shape_.window, shape_.shiftOf(index)) : structure.wholes();
    return blocks_.at(static_cast<std::size_t>(index))->forward(x, groups);
}

torch::Tensor SparseTransformerImpl::forward(const torch::Tensor& features, SparseStructure& structure) {
    auto x = embed(features, structure);
    for (std::int64_t i = 0; i < shape_.blocks; ++i) x = runBlock(i, x, structure);
    return x;
}

}  // namespace medseg
