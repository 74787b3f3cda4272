#include "medseg/nn/sam2/image_encoder.h"

#include <algorithm>

#include "medseg/nn/sam2/plain_trunk.h"
#include "medseg/nn/sam2/position_encoding.h"

namespace medseg {
namespace {

/// The official files call the convolution of a level "conv", below the level's number.
class NamedConvImpl : public torch::nn::Module {
  public:
    NamedConvImpl(std::int64_t in, std::int64_t out) {
        conv_ = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 1)));
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv_->forward(x); }

  private:
    torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(NamedConv);

torch::Tensor doubled(const torch::Tensor& map) {
    return torch::upsample_nearest2d(map, {map.size(2) * 2, map.size(3) * 2});
}

torch::Tensor positionsOf(const torch::Tensor& map, std::int64_t width) {
    return sinePositions2d(width, map.size(2), map.size(3), map.options().requires_grad(false));
}

}  // namespace

PyramidNeckImpl::PyramidNeckImpl(const Sam2Settings& settings)
    : width_(settings.width), topDownLevels_(settings.topDownLevels) {
    convs_ = register_module("convs", torch::nn::ModuleList());
    std::vector<std::int64_t> channels = trunkChannels(settings.trunk);
    std::reverse(channels.begin(), channels.end());
    for (const std::int64_t count : channels) convs_->push_back(NamedConv(count, width_));
}

NeckFeatures PyramidNeckImpl::forward(const std::vector<torch::Tensor>& maps) {
    const std::size_t levels = maps.size();
    NeckFeatures features;
    features.maps.resize(levels);
    features.positions.resize(levels);
    torch::Tensor coarser;
    for (std::size_t level = levels; level-- > 0;) {
        torch::Tensor map = convs_->ptr<NamedConvImpl>(levels - 1 - level)->forward(maps[level]);
        const bool takesCoarser = std::find(topDownLevels_.begin(), topDownLevels_.end(),
                                            static_cast<std::int64_t>(level)) != topDownLevels_.end();
        if (takesCoarser && coarser.defined()) map = map + doubled(coarser);
        coarser = map;
        features.maps[level] = map;
        features.positions[level] = positionsOf(map, width_);
    }
    return features;
}

PlainNeckImpl::PlainNeckImpl(const Sam2Settings& settings) : width_(settings.width) {
    const auto convs = register_module("convs", torch::nn::ModuleList());
    const std::int64_t channels = trunkChannels(settings.trunk).front();
    narrow_ = torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, width_, 1).bias(false));
    norm0_ = LayerNorm2d(width_);
    wide_ = torch::nn::Conv2d(torch::nn::Conv2dOptions(width_, width_, 3).padding(1).bias(false));
    norm1_ = LayerNorm2d(width_);
    torch::nn::Sequential level;
    level->push_back("conv_1x1", narrow_);
    level->push_back("norm_0", norm0_);
    level->push_back("conv_3x3", wide_);
    level->push_back("norm_1", norm1_);
    convs->push_back(level);
}

NeckFeatures PlainNeckImpl::forward(const std::vector<torch::Tensor>& maps) {
    const torch::Tensor narrow = norm0_->forward(narrow_->forward(maps.front()));
    const torch::Tensor map = norm1_->forward(wide_->forward(narrow));
    return {{map}, {positionsOf(map, width_)}};
}

Sam2ImageEncoderImpl::Sam2ImageEncoderImpl(const Sam2Settings& settings) : droppedLevels_(settings.droppedLevels) {
    if (settings.trunk.kind == "vit") {
        trunk_ = std::make_shared<PlainTrunkImpl>(settings.trunk);
        neck_ = std::make_shared<PlainNeckImpl>(settings);
    } else {
        trunk_ = std::make_shared<HieraImpl>(settings.trunk);
        neck_ = std::make_shared<PyramidNeckImpl>(settings);
    }
    register_module("trunk", trunk_);
    register_module("neck", neck_);
}

NeckFeatures Sam2ImageEncoderImpl::allLevels(const torch::Tensor& images, const TrunkObserver& observer) {
    return neck_->forward(trunk_->forward(images, observer));
}

NeckFeatures Sam2ImageEncoderImpl::forward(const torch::Tensor& images) {
    NeckFeatures features = allLevels(images);
    features.maps.resize(features.maps.size() - static_cast<std::size_t>(droppedLevels_));
    features.positions.resize(features.maps.size());
    return features;
}

}  // namespace medseg
