#include "medseg/nn/sam/image_encoder.h"

#include <algorithm>
#include <cmath>

#include "medseg/nn/matrix_product.h"
#include "medseg/nn/recompute.h"
#include "medseg/nn/sam/layer_norm_2d.h"

namespace medseg {
namespace {

constexpr double kNormEps = 1e-6;

torch::nn::LayerNorm layerNorm(std::int64_t width) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(kNormEps));
}

/// patch_embed: the official code keeps the convolution inside a module of its own.
struct PatchEmbeddingImpl : torch::nn::Module {
    explicit PatchEmbeddingImpl(const ImageEncoderShape& shape) {
        proj = register_module(
            "proj",
            torch::nn::Conv2d(torch::nn::Conv2dOptions(3, shape.width, shape.patchSize).stride(shape.patchSize)));
    }
    torch::nn::Conv2d proj{nullptr};
};

/// The product of each query with the position rows of its place along an axis: q (batch, heads, places, others, d) and
/// rows (places, keys, d) give (batch, heads, places, others, keys).
torch::Tensor gridTerms(const torch::Tensor& q, const torch::Tensor& rows) {
    const torch::Tensor byPlace = q.permute({2, 0, 1, 3, 4});
    return torch::bmm(byPlace.flatten(1, 3), rows.transpose(1, 2))
        .view({q.size(2), q.size(0), q.size(1), q.size(3), -1})
        .permute({1, 2, 0, 3, 4});
}

}  // namespace

torch::Tensor windowPartition(const torch::Tensor& x, std::int64_t window) {
    const std::int64_t height = x.size(1), width = x.size(2), channels = x.size(3);
    const std::int64_t below = (window - height % window) % window;
    const std::int64_t right = (window - width % window) % window;
    torch::Tensor padded = x;
    if (below > 0 || right > 0) padded = torch::constant_pad_nd(x, {0, 0, 0, right, 0, below});
    const std::int64_t rows = (height + below) / window, columns = (width + right) / window;
    return padded.reshape({x.size(0), rows, window, columns, window, channels})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({-1, window, window, channels});
}

torch::Tensor windowReverse(const torch::Tensor& windows, std::int64_t height, std::int64_t width) {
    const std::int64_t window = windows.size(1), channels = windows.size(3);
    const std::int64_t rows = (height + window - 1) / window, columns = (width + window - 1) / window;
    return windows.view({-1, rows, columns, window, window, channels})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({-1, rows * window, columns * window, channels})
        .narrow(1, 0, height)
        .narrow(2, 0, width);
}

torch::Tensor relativePositionRows(const torch::Tensor& table, std::int64_t queries, std::int64_t keys) {
    const std::int64_t length = 2 * std::max(queries, keys) - 1;
    torch::Tensor rows = table;
    if (table.size(0) != length)
        rows = torch::upsample_linear1d(table.t().unsqueeze(0), {length}, false).squeeze(0).t();
    const double queryStep = std::max(1.0, static_cast<double>(keys) / static_cast<double>(queries));
    const double keyStep = std::max(1.0, static_cast<double>(queries) / static_cast<double>(keys));
    std::vector<std::int64_t> offsets;
    offsets.reserve(static_cast<std::size_t>(queries * keys));
    for (std::int64_t q = 0; q < queries; ++q)
        for (std::int64_t k = 0; k < keys; ++k)
            offsets.push_back(static_cast<std::int64_t>(static_cast<double>(q) * queryStep -
                                                        static_cast<double>(k) * keyStep +
                                                        static_cast<double>(keys - 1) * keyStep));
    const torch::Tensor index = torch::tensor(offsets, torch::kLong).to(table.device());
    return rows.index_select(0, index).view({queries, keys, table.size(1)});
}

GridAttentionImpl::GridAttentionImpl(std::int64_t width, std::int64_t heads, bool qkvBias, std::int64_t tableLength)
    : heads_(heads) {
    if (tableLength > 0) {
        relativeHeight_ = register_parameter("rel_pos_h", torch::zeros({tableLength, width / heads}));
        relativeWidth_ = register_parameter("rel_pos_w", torch::zeros({tableLength, width / heads}));
    }
    qkv_ = register_module("qkv", Linear(width, 3 * width, qkvBias));
    proj_ = register_module("proj", Linear(width, width));
}

torch::Tensor GridAttentionImpl::forward(const torch::Tensor& x) const {
    const std::int64_t batch = x.size(0), height = x.size(1), width = x.size(2);
    const std::int64_t headWidth = x.size(3) / heads_;
    const auto parts =
        qkv_->forward(x).view({batch, height * width, 3, heads_, headWidth}).permute({2, 0, 3, 1, 4}).unbind(0);
    const double scale = 1.0 / std::sqrt(static_cast<double>(headWidth));
    torch::Tensor mixed;
    if (relativeHeight_.defined()) {
        // The terms come from the unscaled query.
        const torch::Tensor q = parts[0].view({batch, heads_, height, width, headWidth});
        const torch::Tensor byRow = gridTerms(q, relativePositionRows(relativeHeight_, height, height));
        const torch::Tensor byColumn =
            gridTerms(q.transpose(2, 3), relativePositionRows(relativeWidth_, width, width)).transpose(2, 3);
        mixed =
            relativePositionAttention(parts[0], parts[1], parts[2], scale, byRow.flatten(2, 3), byColumn.flatten(2, 3));
    } else {
        mixed = attentionProduct(parts[0], parts[1], parts[2], scale);
    }
    return proj_->forward(mixed.transpose(1, 2).reshape({batch, height, width, x.size(3)}));
}

VitBlockImpl::VitBlockImpl(const ImageEncoderShape& shape, bool global) : window_(global ? 0 : shape.window) {
    const std::int64_t globalTable = shape.globalTable > 0 ? shape.globalTable : 2 * shape.grid() - 1;
    const std::int64_t table = global ? globalTable : 2 * shape.window - 1;
    norm1_ = register_module("norm1", layerNorm(shape.width));
    attention_ = register_module(
        "attn", GridAttention(shape.width, shape.heads, shape.qkvBias, shape.relativePositions ? table : 0));
    norm2_ = register_module("norm2", layerNorm(shape.width));
    mlp_ = register_module("mlp", MlpBlock(shape.width, shape.mlpWidth, Activation::Gelu));
}

torch::Tensor VitBlockImpl::attentionWindows(const torch::Tensor& x) {
    const torch::Tensor normed = norm1_->forward(x);
    return attention_->forward(window_ > 0 ? windowPartition(normed, window_) : normed);
}

torch::Tensor VitBlockImpl::forward(const torch::Tensor& x) {
    torch::Tensor attended = attentionWindows(x);
    if (window_ > 0) attended = windowReverse(attended, x.size(1), x.size(2));
    const torch::Tensor y = x + attended;
    return y + mlp_->forward(norm2_->forward(y));
}

torch::nn::Sequential encoderNeck(std::int64_t width, std::int64_t outChannels) {
    return torch::nn::Sequential(
        torch::nn::Conv2d(torch::nn::Conv2dOptions(width, outChannels, 1).bias(false)), LayerNorm2d(outChannels),
        torch::nn::Conv2d(torch::nn::Conv2dOptions(outChannels, outChannels, 3).padding(1).bias(false)),
        LayerNorm2d(outChannels));
}

VitImageEncoderImpl::VitImageEncoderImpl(const ImageEncoderShape& shape) {
    if (shape.absolutePositions)
        positions_ = register_parameter("pos_embed", torch::zeros({1, shape.grid(), shape.grid(), shape.width}));
    const auto patches = register_module("patch_embed", std::make_shared<PatchEmbeddingImpl>(shape));
    patchProjection_ = patches->proj;
    blocks_ = register_module("blocks", torch::nn::ModuleList());
    for (std::int64_t i = 0; i < shape.depth; ++i) {
        const auto& global = shape.globalBlocks;
        blocks_->push_back(VitBlock(shape, std::find(global.begin(), global.end(), i) != global.end()));
    }
    neck_ = register_module("neck", encoderNeck(shape.width, shape.outChannels));
}

torch::Tensor VitImageEncoderImpl::patchTokens(const torch::Tensor& image) {
    const torch::Tensor tokens = patchProjection_->forward(image).permute({0, 2, 3, 1});
    return positions_.defined() ? tokens + positions_ : tokens;
}

torch::Tensor VitImageEncoderImpl::throughBlock(std::size_t index, const torch::Tensor& tokens) {
    return blocks_->ptr<VitBlockImpl>(index)->forward(tokens);
}

torch::Tensor VitImageEncoderImpl::attentionWindows(std::size_t index, const torch::Tensor& tokens) {
    return blocks_->ptr<VitBlockImpl>(index)->attentionWindows(tokens);
}

torch::Tensor VitImageEncoderImpl::throughNeck(const torch::Tensor& tokens) {
    return neck_->forward(tokens.permute({0, 3, 1, 2}));
}

torch::Tensor VitImageEncoderImpl::forward(const torch::Tensor& image) {
    torch::Tensor tokens = patchTokens(image);
    for (std::size_t i = 0; i < depth(); ++i)
        tokens = recompute_ ? recomputed([this, i](const torch::Tensor& x) { return throughBlock(i, x); }, tokens)
                            : throughBlock(i, tokens);
    return throughNeck(tokens);
}

}  // namespace medseg
