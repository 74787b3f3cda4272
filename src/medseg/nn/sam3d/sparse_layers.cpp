#include "medseg/nn/sam3d/sparse_layers.h"

#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/nn/matrix_product.h"

namespace medseg {

SparseConvolutionImpl::SparseConvolutionImpl(std::int64_t in, std::int64_t out, std::int64_t kernel)
    : in_(in), out_(out), kernel_(kernel) {
    if (kernel != 1 && kernel != 3) throw UsageError(fmt::format("sparse kernels have size 1 or 3, not {}", kernel));
    const double bound = 1.0 / std::sqrt(static_cast<double>(in * kernel * kernel * kernel));
    const auto conv = register_module("conv", std::make_shared<torch::nn::Module>());
    weight_ =
        conv->register_parameter("weight", torch::empty({out, kernel, kernel, kernel, in}).uniform_(-bound, bound));
    bias_ = conv->register_parameter("bias", torch::empty({out}).uniform_(-bound, bound));
}

void SparseConvolutionImpl::zero() {
    torch::NoGradGuard noGradient;
    weight_.zero_();
    bias_.zero_();
}

torch::Tensor SparseConvolutionImpl::forward(const torch::Tensor& x, SparseStructure& structure) {
    if (kernel_ == 1) return linearProduct(x, weight_.reshape({out_, in_}), bias_);
    return sparseProduct(x, weight_.reshape({out_, 27, in_}), structure.neighbours()) + bias_;
}

torch::Tensor SparseConvolutionImpl::forwardToChildren(const torch::Tensor& x, SparseStructure& structure) {
    if (kernel_ == 1) return forward(x, structure).repeat_interleave(8, 0);
    torch::Tensor sums = weight_;
    for (std::int64_t axis = 1; axis <= 3; ++axis) {
        const auto before = sums.select(axis, 0), own = sums.select(axis, 1), after = sums.select(axis, 2);
        sums = torch::stack({before, own + after, before + own, after}, axis);
    }
    return sparseProduct(x, sums.reshape({out_, 64, in_}), structure.childNeighbours()) + bias_;
}

SparseGroupNormImpl::SparseGroupNormImpl(std::int64_t groups, std::int64_t channels, double epsilon)
    : groups_(groups), epsilon_(epsilon) {
    if (groups < 1 || channels % groups != 0)
        throw UsageError(fmt::format("{} groups do not divide {} channels", groups, channels));
    weight_ = register_parameter("weight", torch::ones({channels}));
    bias_ = register_parameter("bias", torch::zeros({channels}));
}

torch::Tensor SparseGroupNormImpl::forward(const torch::Tensor& x, const SparseStructure& structure) {
    std::vector<torch::Tensor> items;
    for (const auto& [first, rows] : structure.items()) {
        const auto own = x.narrow(0, first, rows);
        // A group's variance: the mean of its channels' variances and the variance of their means.
        const auto [variance, mean] = torch::var_mean(own, std::vector<std::int64_t>{0}, false, false);
        const auto means = mean.reshape({groups_, -1}), groupMean = means.mean(1, true);
        const auto groupVariance =
            variance.reshape({groups_, -1}).mean(1, true) + (means - groupMean).square().mean(1, true);
        const auto scale = (torch::rsqrt(groupVariance + epsilon_) * weight_.reshape({groups_, -1})).flatten();
        const auto shift = bias_ - (groupMean * scale.reshape({groups_, -1})).flatten();
        items.push_back(torch::addcmul(shift, own, scale));
    }
    if (items.empty()) return x;
    return items.size() == 1 ? items.front() : torch::cat(items);
}

torch::Tensor groupedAttention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const AttentionGroups& groups) {
    const std::int64_t heads = q.size(1), dim = q.size(2);
    const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
    const bool one = groups.runs.size() == 1 && groups.runs.front().groups == 1;
    const auto sorted = [&](const torch::Tensor& x) { return one ? x : x.index_select(0, groups.order); };
    const torch::Tensor allQ = sorted(q), allK = sorted(k), allV = sorted(v);
    std::vector<torch::Tensor> results;
    for (const AttentionGroups::Run& run : groups.runs) {
        const auto part = [&](const torch::Tensor& x) {
            return x.narrow(0, run.first, run.groups * run.size)
                .reshape({run.groups, run.size, heads, dim})
                .transpose(1, 2);
        };
        results.push_back(joinHeads(attentionProduct(part(allQ), part(allK), part(allV), scale))
                              .reshape({run.groups * run.size, heads * dim}));
    }
    if (results.empty()) return q.reshape({0, heads * dim});
    return one ? results.front() : torch::cat(results).index_select(0, groups.back);
}

SparseSelfAttentionImpl::SparseSelfAttentionImpl(std::int64_t width, std::int64_t heads, bool headNorm)
    : heads_(heads) {
    if (heads < 1 || width % heads != 0)
        throw UsageError(fmt::format("{} attention heads do not divide the width {}", heads, width));
    toQkv_ = register_module("to_qkv", Linear(width, 3 * width));
    toOut_ = register_module("to_out", Linear(width, width));
    for (Linear& layer : {std::ref(toQkv_), std::ref(toOut_)}) {
        torch::nn::init::xavier_uniform_(layer->weight);
        torch::nn::init::zeros_(layer->bias);
    }
    if (!headNorm) return;
    qNorm_ = register_module("q_rms_norm", HeadNorm(heads, width / heads));
    kNorm_ = register_module("k_rms_norm", HeadNorm(heads, width / heads));
}

torch::Tensor SparseSelfAttentionImpl::forward(const torch::Tensor& x, const AttentionGroups& groups) {
    const auto qkv = toQkv_->forward(x).reshape({x.size(0), 3, heads_, x.size(1) / heads_});
    auto q = qkv.select(1, 0), k = qkv.select(1, 1);
    if (qNorm_) {
        q = qNorm_->forward(q);
        k = kNorm_->forward(k);
    }
    return toOut_->forward(groupedAttention(q, k, qkv.select(1, 2), groups));
}

}  // namespace medseg
