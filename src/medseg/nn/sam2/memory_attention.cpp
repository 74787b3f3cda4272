#include "medseg/nn/sam2/memory_attention.h"

#include <cmath>

#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

/// Weight of the frame's own position code at the input.
constexpr double kInputPositionWeight = 0.1;

torch::nn::LayerNorm layerNorm(std::int64_t width) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-5));
}

torch::Tensor splitHeads(const torch::Tensor& x, std::int64_t heads) {
    return x.reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

}  // namespace

RotaryAttentionImpl::RotaryAttentionImpl(std::int64_t width, std::int64_t heads, std::int64_t keyWidth, double theta,
                                         double dropout)
    : heads_(heads), headWidth_(width / heads), theta_(theta), dropout_(dropout) {
    q_proj_ = register_module("q_proj", Linear(width, width));
    k_proj_ = register_module("k_proj", Linear(keyWidth, width));
    v_proj_ = register_module("v_proj", Linear(keyWidth, width));
    out_proj_ = register_module("out_proj", Linear(width, width));
}

const RotaryTable& RotaryAttentionImpl::tableFor(std::int64_t side, const torch::TensorOptions& options) {
    if (side != tableSide_ || table_.cosines.device() != options.device() ||
        table_.cosines.dtype() != options.dtype()) {
        table_ = rotaryTable(headWidth_, side, theta_, options.requires_grad(false));
        tableSide_ = side;
    }
    return table_;
}

torch::Tensor RotaryAttentionImpl::forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                           std::int64_t unrotated) {
    torch::Tensor queries = splitHeads(q_proj_->forward(q), heads_);
    torch::Tensor keys = splitHeads(k_proj_->forward(k), heads_);
    const torch::Tensor values = splitHeads(v_proj_->forward(v), heads_);
    const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(q.size(1)))));
    const RotaryTable& table = tableFor(side, queries.options());
    queries = rotate(queries, table, queries.size(2));
    keys = rotate(keys, table, keys.size(2) - unrotated);
    const double scale = 1.0 / std::sqrt(static_cast<double>(headWidth_));
    torch::Tensor mixed;
    if (is_training() && dropout_ > 0) {
        const torch::Tensor logits = torch::matmul(queries * scale, keys.transpose(-2, -1));
        mixed = torch::matmul(torch::dropout(torch::softmax(logits, -1), dropout_, true), values);
    } else {
        mixed = attentionProduct(queries, keys, values, scale);
    }
    return out_proj_->forward(mixed.transpose(1, 2).flatten(2));
}

MemoryAttentionLayerImpl::MemoryAttentionLayerImpl(const Sam2Settings& s) : dropout_(s.memoryDropout) {
    selfAttention_ =
        register_module("self_attn", RotaryAttention(s.width, s.memoryHeads, s.width, s.rotaryTheta, dropout_));
    crossAttention_ = register_module("cross_attn_image",
                                      RotaryAttention(s.width, s.memoryHeads, s.memoryWidth, s.rotaryTheta, dropout_));
    linear1_ = register_module("linear1", Linear(s.width, s.memoryMlp));
    linear2_ = register_module("linear2", Linear(s.memoryMlp, s.width));
    norm1_ = register_module("norm1", layerNorm(s.width));
    norm2_ = register_module("norm2", layerNorm(s.width));
    norm3_ = register_module("norm3", layerNorm(s.width));
}

torch::Tensor MemoryAttentionLayerImpl::forward(torch::Tensor current, const torch::Tensor& memory,
                                                const torch::Tensor& memoryPositions, std::int64_t pointerTokens) {
    const auto dropped = [&](const torch::Tensor& x) { return torch::dropout(x, dropout_, is_training()); };
    torch::Tensor normed = norm1_->forward(current);
    current = current + dropped(selfAttention_->forward(normed, normed, normed));
    normed = norm2_->forward(current);
    current = current + dropped(crossAttention_->forward(normed, memory + memoryPositions, memory, pointerTokens));
    normed = norm3_->forward(current);
    return current + dropped(linear2_->forward(dropped(torch::relu(linear1_->forward(normed)))));
}

MemoryAttentionImpl::MemoryAttentionImpl(const Sam2Settings& settings) {
    layers_ = register_module("layers", torch::nn::ModuleList());
    for (std::int64_t i = 0; i < settings.memoryLayers; ++i) layers_->push_back(MemoryAttentionLayer(settings));
    norm_ = register_module("norm", layerNorm(settings.width));
}

torch::Tensor MemoryAttentionImpl::forward(const torch::Tensor& current, const torch::Tensor& currentPositions,
                                           const torch::Tensor& memory, const torch::Tensor& memoryPositions,
                                           std::int64_t pointerTokens,
                                           const std::function<void(std::size_t, const torch::Tensor&)>& observer) {
    torch::Tensor x = (current + kInputPositionWeight * currentPositions).transpose(0, 1);
    const torch::Tensor remembered = memory.transpose(0, 1);
    const torch::Tensor places = memoryPositions.transpose(0, 1);
    for (std::size_t i = 0; i < layers_->size(); ++i) {
        x = layers_->ptr<MemoryAttentionLayerImpl>(i)->forward(x, remembered, places, pointerTokens);
        if (observer) observer(i, x);
    }
    return norm_->forward(x).transpose(0, 1);
}

}  // namespace medseg
