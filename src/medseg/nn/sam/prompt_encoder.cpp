#include "medseg/nn/sam/prompt_encoder.h"

#include "medseg/nn/sam/layer_norm_2d.h"

namespace medseg {
namespace {

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t size) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, size).stride(size));
}

}  // namespace

std::int64_t PromptBatch::batch() const {
    for (const torch::Tensor& prompt : {points, boxes, masks})
        if (prompt.defined()) return prompt.size(0);
    return 1;
}

PromptEncoderImpl::PromptEncoderImpl(const PromptEncoderShape& shape) : shape_(shape) {
    const std::int64_t width = shape.width;
    const std::int64_t hidden = shape.maskChannels;
    positions_ = register_module("pe_layer", RandomPositionEncoding(width));
    pointEmbeddings_ = register_module("point_embeddings", torch::nn::ModuleList());
    for (int kind = 0; kind < 4; ++kind) pointEmbeddings_->push_back(torch::nn::Embedding(1, width));
    notAPoint_ = register_module("not_a_point_embed", torch::nn::Embedding(1, width));
    maskDownscaling_ = register_module(
        "mask_downscaling", torch::nn::Sequential(conv(1, hidden / 4, 2), LayerNorm2d(hidden / 4), torch::nn::GELU(),
                                                  conv(hidden / 4, hidden, 2), LayerNorm2d(hidden), torch::nn::GELU(),
                                                  conv(hidden, width, 1)));
    noMask_ = register_module("no_mask_embed", torch::nn::Embedding(1, width));
}

torch::Tensor PromptEncoderImpl::pointEmbedding(std::size_t kind) const {
    return pointEmbeddings_->ptr<torch::nn::EmbeddingImpl>(kind)->weight;
}

torch::Tensor PromptEncoderImpl::pointTokens(torch::Tensor points, torch::Tensor labels, bool padded) const {
    if (padded) {
        points = torch::cat({points, points.new_zeros({points.size(0), 1, 2})}, 1);
        labels = torch::cat({labels, labels.new_full({labels.size(0), 1}, -1)}, 1);
    }
    torch::Tensor tokens = positions_->encodePixels(points, shape_.imageHeight, shape_.imageWidth);
    const torch::Tensor kinds = labels.unsqueeze(-1);
    for (std::size_t kind = 0; kind < 4; ++kind)
        tokens = torch::where(kinds == static_cast<std::int64_t>(kind), tokens + pointEmbedding(kind), tokens);
    return torch::where(kinds == -1, notAPoint_->weight, tokens);
}

torch::Tensor PromptEncoderImpl::boxTokens(const torch::Tensor& boxes) const {
    const torch::Tensor corners = boxes.reshape({-1, 2, 2});
    const torch::Tensor tokens = positions_->encodePixels(corners, shape_.imageHeight, shape_.imageWidth);
    return tokens + torch::cat({pointEmbedding(2), pointEmbedding(3)}, 0);
}

PromptEmbedding PromptEncoderImpl::forward(const PromptBatch& prompts) {
    const std::int64_t batch = prompts.batch();
    std::vector<torch::Tensor> tokens{torch::empty({batch, 0, shape_.width}, noMask_->weight.options())};
    if (prompts.points.defined())
        tokens.push_back(pointTokens(prompts.points, prompts.labels, !prompts.boxes.defined()));
    if (prompts.boxes.defined()) tokens.push_back(boxTokens(prompts.boxes));
    PromptEmbedding embedding;
    embedding.sparse = torch::cat(tokens, 1);
    embedding.dense =
        prompts.masks.defined()
            ? maskDownscaling_->forward(prompts.masks)
            : noMask_->weight.reshape({1, -1, 1, 1}).expand({batch, shape_.width, shape_.gridHeight, shape_.gridWidth});
    return embedding;
}

torch::Tensor PromptEncoderImpl::gridPosition() const {
    return positions_->grid(shape_.gridHeight, shape_.gridWidth);
}

}  // namespace medseg
