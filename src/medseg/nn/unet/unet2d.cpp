#include "medseg/nn/unet/unet2d.h"

#include <fmt/format.h>

#include "medseg/nn/fused_layers.h"

namespace medseg {
namespace nn = torch::nn;

DoubleConvImpl::DoubleConvImpl(int inChannels, int outChannels) {
    const auto convolution = [](int in, int out) { return nn::Conv2d(nn::Conv2dOptions(in, out, 3).padding(1)); };
    conv_ =
        register_module("conv", nn::Sequential(convolution(inChannels, outChannels), nn::BatchNorm2d(outChannels),
                                               nn::ReLU(nn::ReLUOptions(true)), convolution(outChannels, outChannels),
                                               nn::BatchNorm2d(outChannels), nn::ReLU(nn::ReLUOptions(true))));
}

torch::Tensor DoubleConvImpl::forward(torch::Tensor x) {
    if (!is_training() || !canFuse(x)) return conv_->forward(x);
    for (const std::size_t first : {0U, 3U}) {
        const auto& convolution = conv_[first]->as<nn::Conv2dImpl>();
        const auto& norm = conv_[first + 1]->as<nn::BatchNorm2dImpl>();
        x = convNormRelu(x, convolution->weight, convolution->bias, norm->weight, norm->bias, norm->running_mean,
                         norm->running_var, norm->options.momentum().value(), norm->options.eps());
        norm->num_batches_tracked.add_(1);
    }
    return x;
}

UNet2dImpl::UNet2dImpl(const UNet2dShape& shape) : shape_(shape) {
    const auto& features = shape_.features;
    const auto levels = static_cast<int>(features.size());
    int channels = shape_.inChannels;
    for (int level = 0; level < levels; ++level) {
        encoders_.push_back(register_module(fmt::format("enc{}", level + 1), DoubleConv(channels, features[level])));
        channels = features[level];
    }
    pool_ = register_module("pool", nn::MaxPool2d(nn::MaxPool2dOptions(2)));
    bottleneck_ = register_module("bottleneck", DoubleConv(channels, shape_.bottleneck));
    upsamplers_.resize(levels, nn::ConvTranspose2d{nullptr});
    decoders_.resize(levels, DoubleConv{nullptr});
    channels = shape_.bottleneck;
    for (int level = levels - 1; level >= 0; --level) {
        const int width = features[level];
        upsamplers_[level] =
            register_module(fmt::format("up{}", level + 1),
                            nn::ConvTranspose2d(nn::ConvTranspose2dOptions(channels, width, 2).stride(2)));
        decoders_[level] = register_module(fmt::format("dec{}", level + 1), DoubleConv(2 * width, width));
        channels = width;
    }
    finalConv = register_module("final_conv", nn::Conv2d(nn::Conv2dOptions(channels, shape_.outChannels, 1)));
}

torch::Tensor UNet2dImpl::forward(torch::Tensor x) {
    const bool fused = is_training() && canFuse(x);
    std::vector<torch::Tensor> skips;
    for (auto& encoder : encoders_) {
        x = encoder->forward(x);
        skips.push_back(x);
        x = pool_->forward(x);
    }
    x = bottleneck_->forward(x);
    for (auto level = static_cast<int>(decoders_.size()) - 1; level >= 0; --level) {
        auto& upsampler = upsamplers_[level];
        x = fused ? upsampleAndConcatenate(x, upsampler->weight, upsampler->bias, skips[level])
                  : torch::cat({upsampler->forward(x), skips[level]}, 1);
        x = decoders_[level]->forward(x);
    }
    return fused ? pointwiseConvolution(x, finalConv->weight, finalConv->bias) : finalConv->forward(x);
}

}  // namespace medseg
