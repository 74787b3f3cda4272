#include "medseg/nn/sam/mask_decoder.h"

#include "medseg/nn/sam/layer_norm_2d.h"

namespace medseg {
namespace {

torch::nn::ConvTranspose2d doubling(std::int64_t in, std::int64_t out) {
    return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(in, out, 2).stride(2));
}

}  // namespace

MaskDecoderImpl::MaskDecoderImpl(const MaskDecoderShape& shape) : shape_(shape) {
    const std::int64_t width = shape.transformer.width;
    const std::int64_t masks = shape.multimaskOutputs + 1;
    transformer_ = register_module("transformer", TwoWayTransformer(shape.transformer));
    iouToken_ = register_module("iou_token", torch::nn::Embedding(1, width));
    maskTokens_ = register_module("mask_tokens", torch::nn::Embedding(masks, width));
    upscaling_ = register_module(
        "output_upscaling", torch::nn::Sequential(doubling(width, width / 4), LayerNorm2d(width / 4), torch::nn::GELU(),
                                                  doubling(width / 4, width / 8), torch::nn::GELU()));
    hypernetworks_ = register_module("output_hypernetworks_mlps", torch::nn::ModuleList());
    for (std::int64_t i = 0; i < masks; ++i) hypernetworks_->push_back(LayeredMlp(width, width, width / 8, 3));
    iouHead_ = register_module("iou_prediction_head", LayeredMlp(width, shape.iouHeadWidth, masks, shape.iouHeadDepth));
}

TokensAndImage MaskDecoderImpl::transform(const torch::Tensor& image, const torch::Tensor& gridPosition,
                                          const PromptEmbedding& prompt) {
    const std::int64_t batch = prompt.sparse.size(0);
    const torch::Tensor own = torch::cat({iouToken_->weight, maskTokens_->weight}, 0).unsqueeze(0);
    const torch::Tensor tokens = torch::cat({own.expand({batch, -1, -1}), prompt.sparse}, 1);
    const torch::Tensor source = image.expand({batch, -1, -1, -1}) + prompt.dense;
    return transformer_->forward(source, gridPosition, tokens);
}

MaskPrediction MaskDecoderImpl::forward(const torch::Tensor& image, const torch::Tensor& gridPosition,
                                        const PromptEmbedding& prompt, bool multimask) {
    const TokensAndImage state = transform(image, gridPosition, prompt);
    const std::int64_t masks = shape_.multimaskOutputs + 1;
    const torch::Tensor features = state.image.transpose(1, 2).unflatten(2, {image.size(-2), image.size(-1)});
    const torch::Tensor upscaled = upscaling_->forward(features);

    // All masks are computed even where one is asked for: the unused heads then have zero gradients, not missing ones,
    // so that weight decay reaches them in training as in the official code.
    std::vector<torch::Tensor> weights;
    for (std::int64_t i = 0; i < masks; ++i)
        weights.push_back(
            hypernetworks_->ptr<LayeredMlpImpl>(static_cast<std::size_t>(i))->forward(state.tokens.select(1, 1 + i)));
    const torch::Tensor logits =
        torch::matmul(torch::stack(weights, 1), upscaled.flatten(2)).unflatten(2, {upscaled.size(2), upscaled.size(3)});
    const torch::Tensor iou = iouHead_->forward(state.tokens.select(1, 0));
    const std::int64_t first = multimask ? 1 : 0;
    const std::int64_t count = multimask ? masks - 1 : 1;
    return {logits.narrow(1, first, count), iou.narrow(1, first, count)};
}

}  // namespace medseg
