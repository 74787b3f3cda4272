#include "medseg/nn/sam3d/subdivision_block.h"

namespace medseg {

SubdivisionBlockImpl::SubdivisionBlockImpl(std::int64_t in, std::int64_t out, std::int64_t groups, double epsilon) {
    const auto before = register_module("act_layers", std::make_shared<torch::nn::Module>());
    norm_ = before->register_module("0", SparseGroupNorm(groups, in, epsilon));
    const auto after = register_module("out_layers", std::make_shared<torch::nn::Module>());
    first_ = after->register_module("0", SparseConvolution(in, out, 3));
    childNorm_ = after->register_module("1", SparseGroupNorm(groups, out, epsilon));
    second_ = after->register_module("3", SparseConvolution(out, out, 3));
    second_->zero();  // training from scratch starts with the skip connection alone
    if (in != out) skip_ = register_module("skip_connection", SparseConvolution(in, out, 1));
}

torch::Tensor SubdivisionBlockImpl::activated(const torch::Tensor& x, const SparseStructure& structure) {
    return torch::silu(norm_->forward(x, structure));
}

torch::Tensor SubdivisionBlockImpl::firstConvolution(const torch::Tensor& activated, SparseStructure& structure) {
    return first_->forwardToChildren(activated, structure);
}

torch::Tensor SubdivisionBlockImpl::forward(const torch::Tensor& x, SparseStructure& structure) {
    SparseStructure& children = *structure.subdivided();
    auto h = firstConvolution(activated(x, structure), structure);
    h = second_->forward(torch::silu(childNorm_->forward(h, children)), children);
    const auto kept = skip_ ? skip_->forward(x, structure) : x;
    return (h.reshape({x.size(0), 8, h.size(1)}) + kept.unsqueeze(1)).reshape(h.sizes());
}

}  // namespace medseg
