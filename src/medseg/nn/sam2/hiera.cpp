#include "medseg/nn/sam2/hiera.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

constexpr double kNormEps = 1e-6;

torch::nn::LayerNorm layerNorm(std::int64_t width) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(kNormEps));
}

}  // namespace

torch::Tensor partitionWindows(const torch::Tensor& x, std::int64_t side) {
    const std::int64_t padY = (side - x.size(1) % side) % side;
    const std::int64_t padX = (side - x.size(2) % side) % side;
    const torch::Tensor padded = padX + padY > 0 ? torch::constant_pad_nd(x, {0, 0, 0, padX, 0, padY}) : x;
    const std::int64_t rows = padded.size(1) / side;
    const std::int64_t columns = padded.size(2) / side;
    return padded.reshape({x.size(0), rows, side, columns, side, x.size(3)})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({x.size(0) * rows * columns, side, side, x.size(3)});
}

torch::Tensor joinWindows(const torch::Tensor& windows, std::int64_t side, std::int64_t height, std::int64_t width) {
    const std::int64_t rows = (height + side - 1) / side;
    const std::int64_t columns = (width + side - 1) / side;
    const std::int64_t channels = windows.size(3);
    const torch::Tensor joined =
        windows.reshape({windows.size(0) / (rows * columns), rows, columns, side, side, channels})
            .permute({0, 1, 3, 2, 4, 5})
            .reshape({-1, rows * side, columns * side, channels});
    return joined.slice(1, 0, height).slice(2, 0, width);
}

torch::Tensor poolTokens(const torch::Tensor& x, std::int64_t stride) {
    return torch::max_pool2d(x.permute({0, 3, 1, 2}), {stride, stride}, {stride, stride}).permute({0, 2, 3, 1});
}

HieraAttentionImpl::HieraAttentionImpl(const HieraBlockSettings& block, std::int64_t queryStride)
    : heads_(block.heads), queryStride_(queryStride) {
    qkv_ = register_module("qkv", Linear(block.dim, 3 * block.dimOut));
    proj_ = register_module("proj", Linear(block.dimOut, block.dimOut));
}

torch::Tensor HieraAttentionImpl::forward(const torch::Tensor& x) {
    const std::int64_t batch = x.size(0);
    std::int64_t height = x.size(1);
    std::int64_t width = x.size(2);
    // (batch, tokens, 3, heads, d)
    const torch::Tensor qkv = qkv_->forward(x).reshape({batch, height * width, 3, heads_, -1});
    torch::Tensor q = qkv.select(2, 0);
    const torch::Tensor k = qkv.select(2, 1);
    const torch::Tensor v = qkv.select(2, 2);
    if (queryStride_ > 1) {
        const torch::Tensor pooled = poolTokens(q.reshape({batch, height, width, -1}), queryStride_);
        height = pooled.size(1);
        width = pooled.size(2);
        q = pooled.reshape({batch, height * width, heads_, -1});
    }
    const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
    const torch::Tensor mixed = attentionProduct(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale);
    return proj_->forward(mixed.transpose(1, 2).reshape({batch, height, width, -1}));
}

HieraBlockImpl::HieraBlockImpl(const HieraBlockSettings& block, const Sam2TrunkSettings& trunk)
    : block_(block), queryStride_(block.queryPool ? trunk.queryStride : 1) {
    norm1_ = register_module("norm1", layerNorm(block.dim));
    attention_ = register_module("attn", HieraAttention(block, queryStride_));
    norm2_ = register_module("norm2", layerNorm(block.dimOut));
    const auto hidden = static_cast<std::int64_t>(static_cast<double>(block.dimOut) * trunk.mlpRatio);
    mlp_ = register_module("mlp", LayeredMlp(block.dimOut, hidden, block.dimOut, 2, false, Activation::Gelu));
    if (block.dim != block.dimOut) proj_ = register_module("proj", Linear(block.dim, block.dimOut));
}

torch::Tensor HieraBlockImpl::forward(const torch::Tensor& x) {
    const torch::Tensor normed = norm1_->forward(x);
    torch::Tensor residual = x;
    if (proj_) {
        residual = proj_->forward(normed);
        if (queryStride_ > 1) residual = poolTokens(residual, queryStride_);
    }
    torch::Tensor attended;
    if (block_.window > 0) {
        attended = attention_->forward(partitionWindows(normed, block_.window));
        attended = joinWindows(attended, block_.window / queryStride_, residual.size(1), residual.size(2));
    } else {
        attended = attention_->forward(normed);
    }
    const torch::Tensor sum = residual + attended;
    return sum + mlp_->forward(norm2_->forward(sum));
}

Sam2PatchEmbeddingImpl::Sam2PatchEmbeddingImpl(std::int64_t channels, std::int64_t kernel, std::int64_t stride,
                                               std::int64_t padding) {
    proj_ = register_module(
        "proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, channels, kernel).stride(stride).padding(padding)));
}

torch::Tensor Sam2PatchEmbeddingImpl::forward(const torch::Tensor& images) {
    return proj_->forward(images).permute({0, 2, 3, 1});
}

HieraImpl::HieraImpl(const Sam2TrunkSettings& settings) : stageEnds_(hieraStageEnds(settings)) {
    const std::int64_t window = settings.windows.front();
    background_ = register_parameter(
        "pos_embed", torch::zeros({1, settings.embedDim, settings.backgroundGrid[0], settings.backgroundGrid[1]}));
    window_ = register_parameter("pos_embed_window", torch::zeros({1, settings.embedDim, window, window}));
    patchEmbedding_ = register_module("patch_embed", Sam2PatchEmbedding(settings.embedDim, 7, 4, 3));
    blocks_ = register_module("blocks", torch::nn::ModuleList());
    for (const HieraBlockSettings& block : hieraBlocks(settings)) blocks_->push_back(HieraBlock(block, settings));
}

torch::Tensor HieraImpl::positionEmbedding(std::int64_t height, std::int64_t width) const {
    namespace F = torch::nn::functional;
    const torch::Tensor coarse = F::interpolate(background_, F::InterpolateFuncOptions()
                                                                 .size(std::vector<std::int64_t>{height, width})
                                                                 .mode(torch::kBicubic)
                                                                 .align_corners(false));
    const torch::Tensor fine = window_.tile({1, 1, height / window_.size(2), width / window_.size(3)});
    return (coarse + fine).permute({0, 2, 3, 1});
}

std::vector<torch::Tensor> HieraImpl::forward(const torch::Tensor& images, const TrunkObserver& observer) {
    torch::Tensor x = patchEmbedding_->forward(images);
    if (observer) observer("patch_embed", x);
    const torch::Tensor positions = positionEmbedding(x.size(1), x.size(2));
    if (observer) observer("pos_embed", positions);
    x = x + positions;
    std::vector<torch::Tensor> maps;
    for (std::size_t i = 0; i < blocks_->size(); ++i) {
        x = blocks_->ptr<HieraBlockImpl>(i)->forward(x);
        if (observer) observer(fmt::format("block_{}", i), x);
        if (std::find(stageEnds_.begin(), stageEnds_.end(), static_cast<std::int64_t>(i)) != stageEnds_.end())
            maps.push_back(x.permute({0, 3, 1, 2}));
    }
    return maps;
}

}  // namespace medseg
