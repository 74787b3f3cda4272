#include "medseg/nn/sam3d/condition_embedder.h"

#include <cmath>

namespace medseg {
namespace {

/// Which embedder (image, mask, pointmap) and which position group (cropped, full) a stream has.
struct StreamKind {
    std::size_t embedder;
    std::int64_t group;
};
constexpr std::array<StreamKind, kConditionStreams> kStreams{{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}}};
constexpr std::int64_t kGroups = 2;
constexpr std::size_t kPointmapEmbedder = 2;
constexpr double kTableDeviation = 0.02;
constexpr double kGatedSize = 0.2;  ///< root mean square of silu(gate) value at the layers' own start

}  // namespace

std::int64_t ConditionShape::hiddenWidth() const {
    const double wanted = 2.0 / 3.0 * projectionRatio * static_cast<double>(width);
    const auto whole = static_cast<std::int64_t>(wanted);
    return (whole + hiddenMultiple - 1) / hiddenMultiple * hiddenMultiple;
}

ConditionProjectionImpl::ConditionProjectionImpl(std::int64_t in, std::int64_t hidden, std::int64_t out,
                                                 double epsilon) {
    norm_ = register_module("0", TokenNorm(in, epsilon, true));
    const auto gated = register_module("1", std::make_shared<torch::nn::Module>());
    gate_ = gated->register_module("w1", Linear(in, hidden, false));
    out_ = gated->register_module("w2", Linear(hidden, out, false));
    value_ = gated->register_module("w3", Linear(in, hidden, false));
    // Training from scratch starts with tokens of about unit size: ten times smaller ones, as the layers' own start
    // gives, leave cross-attention an average of everything, and the generator learns shapes long before it looks at
    // the slice.
    torch::nn::init::normal_(out_->weight, 0.0, 1 / (kGatedSize * std::sqrt(static_cast<double>(hidden))));
}

torch::Tensor ConditionProjectionImpl::forward(const torch::Tensor& x) {
    const auto normed = norm_->forward(x);
    return out_->forward(torch::silu(gate_->forward(normed)) * value_->forward(normed));
}

ConditionEmbedderImpl::ConditionEmbedderImpl(const ConditionShape& shape) : shape_(shape) {
    const auto list = register_module("module_list", std::make_shared<torch::nn::Module>());
    image_ = list->register_module("0", Dino(shape.dino));
    mask_ = list->register_module("1", Dino(shape.dino));
    std::vector<std::int64_t> widths{shape.dino.width, shape.dino.width};
    if (!shape.latentStage) {
        pointmap_ = list->register_module("2", PointmapEmbedder(shape.pointmap));
        widths.push_back(shape.pointmap.width);
    }
    const auto nets = register_module("projection_nets", std::make_shared<torch::nn::Module>());
    for (const std::int64_t in : widths)
        projections_.push_back(
            nets->register_module(std::to_string(projections_.size()),
                                  ConditionProjection(in, shape.hiddenWidth(), shape.width, shape.normEpsilon)));
    // The release has one row more than groups.
    groupTable_ = register_parameter("idx_emb", torch::randn({kGroups + 1, shape.width}) * kTableDeviation);
}

ConditionFeatures ConditionEmbedderImpl::features(const ConditionImages& images) {
    const auto& streams = images.streams;
    if (shape_.latentStage)
        return {image_->plainTokens(streams[0]),
                image_->plainTokens(streams[1]),
                mask_->plainTokens(streams[2]),
                mask_->plainTokens(streams[3]),
                torch::Tensor(),
                torch::Tensor()};
    return {image_->forward(streams[0]), image_->forward(streams[1]),    mask_->forward(streams[2]),
            mask_->forward(streams[3]),  pointmap_->forward(streams[4]), pointmap_->forward(streams[5])};
}

torch::Tensor ConditionEmbedderImpl::fuse(const ConditionFeatures& features, bool withPointmap) {
    std::vector<torch::Tensor> tokens;
    for (std::size_t i = 0; i < kConditionStreams; ++i) {
        if (!features[i].defined()) continue;
        auto projected = projections_[kStreams[i].embedder]->forward(features[i]) + groupTable_[kStreams[i].group];
        if (!withPointmap && kStreams[i].embedder == kPointmapEmbedder) projected = projected * 0;
        tokens.push_back(projected);
    }
    return torch::cat(tokens, 1);
}

torch::Tensor ConditionEmbedderImpl::forward(const ConditionImages& images, bool withPointmap) {
    return fuse(features(images), withPointmap);
}

std::int64_t ConditionEmbedderImpl::tokenCount() const {
    const auto squared = [](std::int64_t side) { return side * side; };
    if (shape_.latentStage)
        return 4 * (1 + shape_.dino.registers + squared(shape_.dino.inputSize / shape_.dino.patchSize));
    return 4 * (1 + squared(shape_.dino.inputSize / shape_.dino.patchSize)) +
           2 * squared(shape_.pointmap.inputSize / shape_.pointmap.patchSize);
}

}  // namespace medseg
