#include "medseg/nn/unet/unet.h"

#include <fmt/format.h>

#include "medseg/nn/autocast.h"
#include "medseg/nn/fused_layers.h"

namespace medseg {

UNetImpl::UNetImpl(const UNetShape& shape) : shape_(shape) {
    const int dimensions = shape_.dimensions;
    const auto& features = shape_.features;
    const auto block = [&](int in, int out) { return DoubleConv(dimensions, in, out, shape_.norm, shape_.residual); };
    int channels = shape_.inChannels;
    for (std::size_t level = 0; level < features.size(); ++level) {
        encoders_.push_back(register_module(fmt::format("enc{}", level + 1), block(channels, features[level])));
        channels = features[level];
    }
    bottleneck_ = register_module("bottleneck", block(channels, shape_.bottleneck));
    upsamplers_.resize(features.size(), nullptr);
    decoders_.resize(features.size(), nullptr);
    gates_.resize(features.size(), nullptr);
    channels = shape_.bottleneck;
    for (std::size_t level = features.size(); level-- > 0;) {
        const int width = features[level];
        upsamplers_[level] =
            register_module(fmt::format("up{}", level + 1),
                            SpatialConvolution(dimensions, channels, width, 2, SpatialConvolutionImpl::Kind::Upsample));
        if (shape_.attention)
            gates_[level] =
                register_module(fmt::format("att{}", level + 1), AttentionGate(dimensions, width, width, shape_.norm));
        decoders_[level] = register_module(fmt::format("dec{}", level + 1), block(2 * width, width));
        channels = width;
    }
    finalConv = register_module("final_conv", SpatialConvolution(dimensions, channels, shape_.outChannels, 1));
    // Small, so that the output's bias decides at first.
    torch::nn::init::normal_(finalConv->weight, 0, 0.01);
    if (!shape_.deepSupervision) return;
    auto heads = register_module("ds_heads", std::make_shared<torch::nn::Module>("ds_heads"));
    for (std::size_t level = 1; level < features.size(); ++level)
        deepHeads_.push_back(heads->register_module(
            std::to_string(level + 1), SpatialConvolution(dimensions, features[level], shape_.outChannels, 1)));
}

torch::Tensor UNetImpl::upsample(std::size_t level, const torch::Tensor& x, const torch::Tensor& skip) {
    auto& upsampler = upsamplers_[level];
    if (!shape_.attention && is_training() && canFuse(x))
        return upsampleAndConcatenate(inAutocastPrecision(x), upsampler->weight, upsampler->bias,
                                      inAutocastPrecision(skip));
    const torch::Tensor up = upsampler->forward(x);
    return torch::cat({up, shape_.attention ? gates_[level]->forward(up, skip) : skip}, 1);
}

torch::Tensor UNetImpl::head(SpatialConvolution& convolution, const torch::Tensor& x) {
    return is_training() && canFuse(x) ? pointwiseConvolution(x, convolution->weight, convolution->bias)
                                       : convolution->forward(x);
}

torch::Tensor UNetImpl::decoded(torch::Tensor x, std::vector<torch::Tensor>& lower, torch::Tensor& bottleneck) {
    std::vector<torch::Tensor> skips;
    for (auto& encoder : encoders_) {
        x = encoder->forward(x);
        skips.push_back(x);
        x = shape_.dimensions == 3 ? torch::max_pool3d(x, 2) : torch::max_pool2d(x, 2);
    }
    x = bottleneck = bottleneck_->forward(x);
    for (std::size_t level = decoders_.size(); level-- > 0;) {
        x = decoders_[level]->forward(upsample(level, x, skips[level]));
        if (level > 0 && !deepHeads_.empty() && is_training())
            lower.insert(lower.begin(), head(deepHeads_[level - 1], x));
    }
    return x;
}

std::vector<torch::Tensor> UNetImpl::forwardAll(torch::Tensor x) {
    std::vector<torch::Tensor> logits;
    torch::Tensor bottleneck;
    x = decoded(std::move(x), logits, bottleneck);
    logits.insert(logits.begin(), head(finalConv, x));
    return logits;
}

torch::Tensor UNetImpl::forwardWithBottleneck(torch::Tensor x, torch::Tensor& bottleneck) {
    std::vector<torch::Tensor> lower;
    return head(finalConv, decoded(std::move(x), lower, bottleneck));
}

torch::Tensor UNetImpl::features(torch::Tensor x) {
    std::vector<torch::Tensor> lower;
    torch::Tensor bottleneck;
    return decoded(std::move(x), lower, bottleneck);
}

torch::Tensor UNetImpl::forward(torch::Tensor x) {
    return forwardAll(std::move(x)).front();
}

}  // namespace medseg
