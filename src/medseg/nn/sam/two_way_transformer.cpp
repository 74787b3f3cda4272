#include "medseg/nn/sam/two_way_transformer.h"

#include <cmath>

#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

constexpr double kNormEps = 1e-5;

torch::nn::LayerNorm layerNorm(std::int64_t width) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(kNormEps));
}

/// (batch, n, heads d) to (batch, heads, n, d).
torch::Tensor splitHeads(const torch::Tensor& x, std::int64_t heads) {
    return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

/// (batch, c, h, w) to (batch, h w, c).
torch::Tensor cellsOf(const torch::Tensor& map) {
    return map.flatten(2).transpose(1, 2);
}

}  // namespace

DownsampledAttentionImpl::DownsampledAttentionImpl(std::int64_t width, std::int64_t heads, std::int64_t downsample,
                                                   std::int64_t keyWidth)
    : heads_(heads) {
    const std::int64_t inner = width / downsample;
    TORCH_CHECK(inner % heads == 0, "attention: inner width ", inner, " is not divisible by ", heads, " heads");
    if (keyWidth == 0) keyWidth = width;
    q_proj = register_module("q_proj", Linear(width, inner));
    k_proj = register_module("k_proj", Linear(keyWidth, inner));
    v_proj = register_module("v_proj", Linear(keyWidth, inner));
    out_proj = register_module("out_proj", Linear(inner, width));
}

torch::Tensor DownsampledAttentionImpl::forward(const torch::Tensor& q, const torch::Tensor& k,
                                                const torch::Tensor& v) const {
    const torch::Tensor queries = splitHeads(q_proj->forward(q), heads_);
    const torch::Tensor keys = splitHeads(k_proj->forward(k), heads_);
    const torch::Tensor values = splitHeads(v_proj->forward(v), heads_);
    const double scale = 1.0 / std::sqrt(static_cast<double>(queries.size(-1)));
    const torch::Tensor mixed = attentionProduct(queries, keys, values, scale);
    return out_proj->forward(mixed.transpose(1, 2).flatten(2));
}

TwoWayBlockImpl::TwoWayBlockImpl(const TwoWayShape& shape, bool first) : first_(first) {
    selfAttention_ = register_module("self_attn", DownsampledAttention(shape.width, shape.heads));
    norm1_ = register_module("norm1", layerNorm(shape.width));
    tokenToImage_ =
        register_module("cross_attn_token_to_image", DownsampledAttention(shape.width, shape.heads, shape.downsample));
    norm2_ = register_module("norm2", layerNorm(shape.width));
    if (shape.mlpNames == MlpNames::Lin)
        mlpBlock_ = register_module("mlp", MlpBlock(shape.width, shape.mlpWidth, Activation::Relu));
    else
        layeredMlp_ = register_module("mlp", LayeredMlp(shape.width, shape.mlpWidth, shape.width, 2));
    norm3_ = register_module("norm3", layerNorm(shape.width));
    norm4_ = register_module("norm4", layerNorm(shape.width));
    imageToToken_ =
        register_module("cross_attn_image_to_token", DownsampledAttention(shape.width, shape.heads, shape.downsample));
}

torch::Tensor TwoWayBlockImpl::mlp(const torch::Tensor& x) const {
    return mlpBlock_ ? mlpBlock_->forward(x) : layeredMlp_->forward(x);
}

TokensAndImage TwoWayBlockImpl::forward(TokensAndImage state, const torch::Tensor& tokenPosition,
                                        const torch::Tensor& imagePosition) {
    auto [tokens, image] = std::move(state);
    if (first_) {
        tokens = norm1_->forward(selfAttention_->forward(tokens, tokens, tokens));
    } else {
        const torch::Tensor placed = tokens + tokenPosition;
        tokens = norm1_->forward(tokens + selfAttention_->forward(placed, placed, tokens));
    }
    const torch::Tensor placedImage = image + imagePosition;
    tokens = norm2_->forward(tokens + tokenToImage_->forward(tokens + tokenPosition, placedImage, image));
    tokens = norm3_->forward(tokens + mlp(tokens));
    image = norm4_->forward(image + imageToToken_->forward(placedImage, tokens + tokenPosition, tokens));
    return {tokens, image};
}

TwoWayTransformerImpl::TwoWayTransformerImpl(const TwoWayShape& shape) {
    layers_ = register_module("layers", torch::nn::ModuleList());
    for (std::int64_t i = 0; i < shape.depth; ++i) layers_->push_back(TwoWayBlock(shape, i == 0));
    finalAttention_ =
        register_module("final_attn_token_to_image", DownsampledAttention(shape.width, shape.heads, shape.downsample));
    finalNorm_ = register_module("norm_final_attn", layerNorm(shape.width));
}

TokensAndImage TwoWayTransformerImpl::forward(const torch::Tensor& image, const torch::Tensor& imagePosition,
                                              const torch::Tensor& tokens) {
    const torch::Tensor position = cellsOf(imagePosition);
    TokensAndImage state{tokens, cellsOf(image)};
    for (std::size_t i = 0; i < layers_->size(); ++i)
        state = layers_->ptr<TwoWayBlockImpl>(i)->forward(std::move(state), tokens, position);
    const torch::Tensor attended = finalAttention_->forward(state.tokens + tokens, state.image + position, state.image);
    state.tokens = finalNorm_->forward(state.tokens + attended);
    return state;
}

}  // namespace medseg
