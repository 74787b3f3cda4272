#include "medseg/nn/sam2/mask_decoder.h"

#include "medseg/nn/sam/layer_norm_2d.h"

namespace medseg {
namespace {

torch::nn::ConvTranspose2d doubling(std::int64_t in, std::int64_t out) {
    return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(in, out, 2).stride(2));
}

/// The mask of each batch entry at index `best` (batch) along axis 1.
torch::Tensor pick(const torch::Tensor& x, const torch::Tensor& best) {
    const torch::Tensor rows = torch::arange(x.size(0), best.options());
    return x.index({rows, best}).unsqueeze(1);
}

}  // namespace

StabilityChoice chooseByStability(const torch::Tensor& masks, const torch::Tensor& ious, double delta,
                                  double threshold) {
    const torch::Tensor best = ious.slice(1, 1).argmax(-1);
    const torch::Tensor bestMask = pick(masks.slice(1, 1), best);
    const torch::Tensor bestIou = pick(ious.slice(1, 1), best);
    const torch::Tensor single = masks.slice(1, 0, 1);
    const torch::Tensor pixels = single.flatten(1);
    const torch::Tensor inner = (pixels > delta).sum(-1).to(torch::kFloat);
    const torch::Tensor outer = (pixels > -delta).sum(-1).to(torch::kFloat);
    const torch::Tensor stability = torch::where(outer > 0, inner / outer, torch::ones_like(outer));
    const torch::Tensor stable = (stability >= threshold).unsqueeze(1);
    return {torch::where(stable.unsqueeze(-1).unsqueeze(-1), single, bestMask),
            torch::where(stable, ious.slice(1, 0, 1), bestIou), stability};
}

Sam2MaskDecoderImpl::Sam2MaskDecoderImpl(const Sam2Settings& s)
    : masks_(s.multimaskOutputs + 1),
      stabilityRule_(s.stabilityRule),
      stabilityDelta_(s.stabilityDelta),
      stabilityThreshold_(s.stabilityThreshold) {
    TwoWayShape shape;
    shape.depth = s.decoderDepth;
    shape.width = s.width;
    shape.heads = s.decoderHeads;
    shape.mlpWidth = s.decoderMlp;
    shape.mlpNames = MlpNames::Layers;
    transformer_ = register_module("transformer", TwoWayTransformer(shape));
    iouToken_ = register_module("iou_token", torch::nn::Embedding(1, s.width));
    maskTokens_ = register_module("mask_tokens", torch::nn::Embedding(masks_, s.width));
    objectToken_ = register_module("obj_score_token", torch::nn::Embedding(1, s.width));
    upscaling_ = register_module(
        "output_upscaling",
        torch::nn::Sequential(doubling(s.width, s.width / 4), LayerNorm2d(s.width / 4), torch::nn::GELU(),
                              doubling(s.width / 4, s.width / 8), torch::nn::GELU()));
    if (s.highResolutionFeatures) {
        reduce4_ = register_module("conv_s0", torch::nn::Conv2d(torch::nn::Conv2dOptions(s.width, s.width / 8, 1)));
        reduce8_ = register_module("conv_s1", torch::nn::Conv2d(torch::nn::Conv2dOptions(s.width, s.width / 4, 1)));
    }
    hypernetworks_ = register_module("output_hypernetworks_mlps", torch::nn::ModuleList());
    for (std::int64_t i = 0; i < masks_; ++i) hypernetworks_->push_back(LayeredMlp(s.width, s.width, s.width / 8, 3));
    iouHead_ = register_module("iou_prediction_head",
                               LayeredMlp(s.width, s.iouHidden, masks_, static_cast<int>(s.iouDepth), true));
    objectHead_ = register_module("pred_obj_score_head", LayeredMlp(s.width, s.width, 1, 3));
}

HighResolutionFeatures Sam2MaskDecoderImpl::reduce(const torch::Tensor& level0, const torch::Tensor& level1) {
    return {reduce4_->forward(level0), reduce8_->forward(level1)};
}

torch::Tensor Sam2MaskDecoderImpl::upscale(const torch::Tensor& map, const HighResolutionFeatures& features) {
    if (!features.stride4.defined()) return upscaling_->forward(map);
    torch::Tensor x = upscaling_->ptr<torch::nn::ConvTranspose2dImpl>(0)->forward(map) + features.stride8;
    x = torch::gelu(upscaling_->ptr<LayerNorm2dImpl>(1)->forward(x));
    return torch::gelu(upscaling_->ptr<torch::nn::ConvTranspose2dImpl>(3)->forward(x) + features.stride4);
}

Sam2MaskOutput Sam2MaskDecoderImpl::allMasks(const torch::Tensor& embedding, const torch::Tensor& gridPosition,
                                             const PromptEmbedding& prompt, const HighResolutionFeatures& features) {
    const std::int64_t batch = prompt.sparse.size(0);
    const torch::Tensor own =
        torch::cat({objectToken_->weight, iouToken_->weight, maskTokens_->weight}, 0).unsqueeze(0);
    const torch::Tensor tokens = torch::cat({own.expand({batch, -1, -1}), prompt.sparse}, 1);
    const torch::Tensor source = embedding.expand({batch, -1, -1, -1}) + prompt.dense;
    const TokensAndImage state = transformer_->forward(source, gridPosition, tokens);

    Sam2MaskOutput output;
    output.tokens = state.tokens.slice(1, 2, 2 + masks_);
    const torch::Tensor map = state.image.transpose(1, 2).reshape({batch, -1, source.size(2), source.size(3)});
    const torch::Tensor upscaled = upscale(map, features);
    std::vector<torch::Tensor> weights;
    for (std::int64_t i = 0; i < masks_; ++i)
        weights.push_back(
            hypernetworks_->ptr<LayeredMlpImpl>(static_cast<std::size_t>(i))->forward(output.tokens.select(1, i)));
    output.masks = torch::matmul(torch::stack(weights, 1), upscaled.flatten(2))
                       .reshape({batch, masks_, upscaled.size(2), upscaled.size(3)});
    output.ious = iouHead_->forward(state.tokens.select(1, 1));
    output.objectScore = objectHead_->forward(state.tokens.select(1, 0));
    return output;
}

Sam2MaskOutput Sam2MaskDecoderImpl::forward(const torch::Tensor& embedding, const torch::Tensor& gridPosition,
                                            const PromptEmbedding& prompt, const HighResolutionFeatures& features,
                                            bool multimask) {
    Sam2MaskOutput output = allMasks(embedding, gridPosition, prompt, features);
    if (multimask) {
        output.masks = output.masks.slice(1, 1);
        output.ious = output.ious.slice(1, 1);
        output.tokens = output.tokens.slice(1, 1);
        return output;
    }
    // The pointer is made from token 0 even where the rule takes another mask.
    output.tokens = output.tokens.slice(1, 0, 1);
    if (stabilityRule_ && !is_training()) {
        StabilityChoice choice = chooseByStability(output.masks, output.ious, stabilityDelta_, stabilityThreshold_);
        output.masks = choice.masks;
        output.ious = choice.ious;
    } else {
        output.masks = output.masks.slice(1, 0, 1);
        output.ious = output.ious.slice(1, 0, 1);
    }
    return output;
}

}  // namespace medseg
