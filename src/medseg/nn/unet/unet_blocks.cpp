#include "medseg/nn/unet/unet_blocks.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/nn/autocast.h"
#include "medseg/nn/fused_layers.h"

namespace medseg {
namespace {

constexpr int kGroupChannels = 16;

}  // namespace

NormKind normKindFromName(const std::string& name) {
    if (name == "batch") return NormKind::Batch;
    if (name == "instance") return NormKind::Instance;
    if (name == "group") return NormKind::Group;
    throw UsageError(fmt::format("model.norm {}: use batch, instance or group", name));
}

SpatialConvolutionImpl::SpatialConvolutionImpl(int dimensions, int inChannels, int outChannels, int kernel, Kind kind)
    : stride_(dimensions, kind == Kind::Upsample ? 2 : 1),
      padding_(dimensions, kind == Kind::Upsample ? 0 : kernel / 2),
      transposed_(kind == Kind::Upsample) {
    std::vector<std::int64_t> shape(dimensions + 2, transposed_ ? 2 : kernel);
    shape[0] = transposed_ ? inChannels : outChannels;
    shape[1] = transposed_ ? outChannels : inChannels;
    weight = register_parameter("weight", torch::empty(shape));
    bias = register_parameter("bias", torch::zeros({outChannels}));
    torch::nn::init::kaiming_normal_(weight, 0, torch::kFanIn, torch::kReLU);
}

torch::Tensor SpatialConvolutionImpl::forward(const torch::Tensor& x) {
    const std::vector<std::int64_t> one(stride_.size(), 1), zero(stride_.size(), 0);
    // After a fused layer in bf16; on CUDA torch's own autocast converts.
    const torch::Tensor input = x.is_cpu() ? x.to(weight.scalar_type()) : x;
    return torch::convolution(input, weight, bias, stride_, padding_, one, transposed_, zero, 1);
}

ChannelNormImpl::ChannelNormImpl(NormKind kind, int channels)
    : kind_(kind), groups_(channels % kGroupChannels == 0 ? channels / kGroupChannels : 1) {
    weight = register_parameter("weight", torch::ones({channels}));
    bias = register_parameter("bias", torch::zeros({channels}));
    if (kind_ != NormKind::Batch) return;
    runningMean = register_buffer("running_mean", torch::zeros({channels}));
    runningVariance = register_buffer("running_var", torch::ones({channels}));
    batchesSeen = register_buffer("num_batches_tracked", torch::zeros({}, torch::kLong));
}

torch::Tensor ChannelNormImpl::forward(const torch::Tensor& x) {
    switch (kind_) {
        case NormKind::Instance:
            return torch::instance_norm(x, weight, bias, {}, {}, true, kMomentum, kEpsilon, false);
        case NormKind::Group:
            return torch::group_norm(x, groups_, weight, bias, kEpsilon, false);
        case NormKind::Batch:
            break;
    }
    if (is_training()) batchesSeen.add_(1);
    return torch::batch_norm(x, weight, bias, runningMean, runningVariance, is_training(), kMomentum, kEpsilon, false);
}

DoubleConvImpl::DoubleConvImpl(int dimensions, int inChannels, int outChannels, NormKind norm, bool residual)
    : residual_(residual) {
    auto sequence = register_module("conv", std::make_shared<torch::nn::Module>("conv"));
    for (std::size_t i = 0; i < 2; ++i) {
        convolutions_[i] = sequence->register_module(
            std::to_string(3 * i), SpatialConvolution(dimensions, i == 0 ? inChannels : outChannels, outChannels, 3));
        norms_[i] = sequence->register_module(std::to_string(3 * i + 1), ChannelNorm(norm, outChannels));
    }
    if (!residual || inChannels == outChannels) return;
    auto shortcut = register_module("shortcut", std::make_shared<torch::nn::Module>("shortcut"));
    shortcut_ = shortcut->register_module("0", SpatialConvolution(dimensions, inChannels, outChannels, 1));
    shortcutNorm_ = shortcut->register_module("1", ChannelNorm(norm, outChannels));
}

torch::Tensor DoubleConvImpl::step(std::size_t index, const torch::Tensor& x, bool activate) {
    auto& convolution = convolutions_[index];
    auto& norm = norms_[index];
    if (activate && is_training() && norm->kind() == NormKind::Batch && canFuse(x)) {
        norm->batchesSeen.add_(1);
        return convNormRelu(inAutocastPrecision(x), convolution->weight, convolution->bias, norm->weight, norm->bias,
                            norm->runningMean, norm->runningVariance, ChannelNormImpl::kMomentum,
                            ChannelNormImpl::kEpsilon);
    }
    const torch::Tensor y = norm->forward(convolution->forward(x));
    return activate ? y.relu_() : y;
}

torch::Tensor DoubleConvImpl::forward(torch::Tensor x) {
    torch::Tensor y = step(1, step(0, x, true), !residual_);
    if (!residual_) return y;
    if (shortcut_) x = shortcutNorm_->forward(shortcut_->forward(x));
    return (y + x).relu_();
}

AttentionGateImpl::AttentionGateImpl(int dimensions, int gateChannels, int skipChannels, NormKind norm) {
    const int inner = std::max(1, skipChannels / 2);
    // One number a pixel: an instance's mean would take it away, so batch norm whatever the others are.
    const auto branch = [&](const char* name, int in, int out, NormKind kind, SpatialConvolution& convolution,
                            ChannelNorm& channelNorm) {
        auto sequence = register_module(name, std::make_shared<torch::nn::Module>(name));
        convolution = sequence->register_module("0", SpatialConvolution(dimensions, in, out, 1));
        channelNorm = sequence->register_module("1", ChannelNorm(kind, out));
    };
    branch("gate", gateChannels, inner, norm, gate_, gateNorm_);
    branch("skip", skipChannels, inner, norm, skip_, skipNorm_);
    branch("psi", inner, 1, NormKind::Batch, psi_, psiNorm_);
}

torch::Tensor AttentionGateImpl::forward(const torch::Tensor& gate, const torch::Tensor& skip) {
    const auto sum = (gateNorm_->forward(gate_->forward(gate)) + skipNorm_->forward(skip_->forward(skip))).relu_();
    return skip * psiNorm_->forward(psi_->forward(sum)).sigmoid();
}

}  // namespace medseg
