#include "medseg/nn/sam3d/flow_layers.h"

#include <cmath>

#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

constexpr double kLargestPeriod = 10000;
constexpr double kUnitEpsilon = 1e-12;

torch::Tensor frequencies(std::int64_t count) {
    return torch::exp(torch::arange(count, torch::kFloat) * (-std::log(kLargestPeriod) / static_cast<double>(count)));
}

/// A container whose children are numbered like those of torch.nn.Sequential.
std::shared_ptr<torch::nn::Module> numbered(std::initializer_list<std::pair<const char*, Linear>> layers) {
    auto container = std::make_shared<torch::nn::Module>();
    for (const auto& [name, layer] : layers) container->register_module(name, layer);
    return container;
}

}  // namespace

torch::Tensor sinusoidalPositions(const torch::Tensor& coordinates, std::int64_t width) {
    const std::int64_t axes = coordinates.size(1), count = coordinates.size(0);
    const std::int64_t perAxis = width / (2 * axes);
    const auto angles = coordinates.to(torch::kFloat).unsqueeze(-1) * frequencies(perAxis);
    const auto features = torch::cat({angles.sin(), angles.cos()}, -1).reshape({count, axes * 2 * perAxis});
    return torch::constant_pad_nd(features, {0, width - features.size(1)});
}

torch::Tensor cubePositions(std::int64_t resolution, std::int64_t width) {
    const auto axis = torch::arange(resolution, torch::kFloat);
    const auto grid = torch::meshgrid({axis, axis, axis}, "ij");
    return sinusoidalPositions(torch::stack({grid[0], grid[1], grid[2]}, -1).reshape({-1, 3}), width);
}

TimeEmbedderImpl::TimeEmbedderImpl(std::int64_t width, std::int64_t frequencies)
    : frequencies_(frequencies), first_(frequencies, width), second_(width, width) {
    torch::NoGradGuard noGradient;
    for (Linear& layer : {std::ref(first_), std::ref(second_)}) {
        layer->weight.normal_(0, 0.02);
        layer->bias.zero_();
    }
    register_module("mlp", numbered({{"0", first_}, {"2", second_}}));
}

torch::Tensor TimeEmbedderImpl::forward(const torch::Tensor& t) {
    const auto angles = t.to(torch::kFloat).unsqueeze(1) * frequencies(frequencies_ / 2).to(t.device());
    const auto features = torch::cat({angles.cos(), angles.sin()}, -1);
    return second_->forward(torch::silu(first_->forward(features)));
}

HeadNormImpl::HeadNormImpl(std::int64_t heads, std::int64_t dimension) {
    gamma_ = register_parameter("gamma", torch::ones({heads, dimension}));
}

torch::Tensor HeadNormImpl::forward(const torch::Tensor& x) {
    const auto length = x.norm(2, -1, true).clamp_min(kUnitEpsilon);
    return x / length * gamma_ * std::sqrt(static_cast<double>(x.size(-1)));
}

TokenNormImpl::TokenNormImpl(std::int64_t width, double epsilon, bool affine) : width_(width), epsilon_(epsilon) {
    if (!affine) return;
    weight_ = register_parameter("weight", torch::ones({width}));
    bias_ = register_parameter("bias", torch::zeros({width}));
}

torch::Tensor TokenNormImpl::forward(const torch::Tensor& x) {
    return torch::layer_norm(x, {width_}, weight_, bias_, epsilon_);
}

torch::Tensor splitHeads(const torch::Tensor& x, std::int64_t heads) {
    return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads});
}

torch::Tensor joinHeads(const torch::Tensor& x) {
    return x.transpose(1, 2).reshape({x.size(0), x.size(2), x.size(1) * x.size(3)});
}

FlowCrossAttentionImpl::FlowCrossAttentionImpl(std::int64_t width, std::int64_t contextWidth, std::int64_t heads)
    : heads_(heads) {
    toQ_ = register_module("to_q", Linear(width, width));
    toKv_ = register_module("to_kv", Linear(contextWidth, 2 * width));
    toOut_ = register_module("to_out", Linear(width, width));
}

KeysValues FlowCrossAttentionImpl::prepare(const torch::Tensor& context) {
    const auto halves = toKv_->forward(context).chunk(2, -1);
    return {splitHeads(halves[0], heads_).transpose(1, 2), splitHeads(halves[1], heads_).transpose(1, 2)};
}

torch::Tensor FlowCrossAttentionImpl::forward(const torch::Tensor& x, const KeysValues& context) {
    const auto q = splitHeads(toQ_->forward(x), heads_).transpose(1, 2);
    const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
    return toOut_->forward(joinHeads(attentionProduct(q, context.keys, context.values, scale)));
}

FlowMlpImpl::FlowMlpImpl(std::int64_t width, std::int64_t ratio)
    : first_(width, width * ratio), second_(width * ratio, width) {
    register_module("mlp", numbered({{"0", first_}, {"2", second_}}));
}

torch::Tensor FlowMlpImpl::forward(const torch::Tensor& x) {
    return second_->forward(torch::gelu(first_->forward(x), "tanh"));
}

}  // namespace medseg
