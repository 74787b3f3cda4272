#include "medseg/nn/sam2/memory_encoder.h"

namespace medseg {
namespace {

constexpr int kHalvings = 4;  ///< image side / 16
constexpr double kInitialLayerScale = 1e-6;

torch::nn::Conv2d pointwise(std::int64_t in, std::int64_t out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 1));
}

/// Gives the blocks the official names fuser.layers.I.
class FuserImpl : public torch::nn::Module {
  public:
    FuserImpl(std::int64_t channels, std::int64_t count) {
        layers = register_module("layers", torch::nn::ModuleList());
        for (std::int64_t i = 0; i < count; ++i) layers->push_back(FuserBlock(channels));
    }
    torch::nn::ModuleList layers{nullptr};
};

}  // namespace

MaskDownsamplerImpl::MaskDownsamplerImpl(std::int64_t channels) {
    torch::nn::Sequential encoder;
    std::int64_t in = 1;
    for (int i = 0; i < kHalvings; ++i) {
        const std::int64_t out = in * 4;
        encoder->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(2).padding(1)));
        encoder->push_back(LayerNorm2d(out));
        encoder->push_back(torch::nn::GELU());
        in = out;
    }
    encoder->push_back(pointwise(in, channels));
    encoder_ = register_module("encoder", encoder);
}

FuserBlockImpl::FuserBlockImpl(std::int64_t channels) {
    gamma_ = register_parameter("gamma", torch::full({channels}, kInitialLayerScale));
    depthwise_ = register_module(
        "dwconv", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 7).padding(3).groups(channels)));
    norm_ = register_module("norm", LayerNorm2d(channels));
    widen_ = register_module("pwconv1", Linear(channels, 4 * channels));
    narrow_ = register_module("pwconv2", Linear(4 * channels, channels));
}

torch::Tensor FuserBlockImpl::forward(const torch::Tensor& x) {
    torch::Tensor y = norm_->forward(depthwise_->forward(x)).permute({0, 2, 3, 1});
    y = narrow_->forward(torch::gelu(widen_->forward(y)));
    return x + (gamma_ * y).permute({0, 3, 1, 2});
}

MemoryEncoderImpl::MemoryEncoderImpl(const Sam2Settings& s) {
    maskDownsampler_ = register_module("mask_downsampler", MaskDownsampler(s.width));
    featureProjection_ = register_module("pix_feat_proj", pointwise(s.width, s.width));
    fuser_ = register_module("fuser", std::make_shared<FuserImpl>(s.width, s.fuserLayers))->layers;
    if (s.memoryWidth != s.width) outProjection_ = register_module("out_proj", pointwise(s.width, s.memoryWidth));
}

torch::Tensor MemoryEncoderImpl::forward(const torch::Tensor& features, const torch::Tensor& masks) {
    torch::Tensor x = featureProjection_->forward(features) + maskDownsampler_->forward(masks);
    for (std::size_t i = 0; i < fuser_->size(); ++i) x = fuser_->ptr<FuserBlockImpl>(i)->forward(x);
    return outProjection_ ? outProjection_->forward(x) : x;
}

}  // namespace medseg
