#include "medseg/nn/sam3d/pointmap_embedder.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr double kTokenDeviation = 0.02;

}  // namespace

PointmapEmbedderImpl::PointmapEmbedderImpl(const PointmapShape& shape) : shape_(shape) {
    if (shape.remap != "linear" && shape.remap != "exp")
        throw UsageError(fmt::format("pointmap remap \"{}\" is none of: linear, exp", shape.remap));
    if (shape.inputSize < shape.patchSize || shape.inputSize % shape.patchSize != 0)
        throw UsageError(
            fmt::format("pointmap size {} is no multiple of the window {}", shape.inputSize, shape.patchSize));
    const std::int64_t side = shape.inputSize / shape.patchSize, inWindow = shape.patchSize * shape.patchSize;
    const auto small = [](std::vector<std::int64_t> sizes) { return torch::randn(sizes) * kTokenDeviation; };
    projection_ = register_module("point_proj", Linear(3, shape.width));
    invalidToken_ = register_parameter("invalid_xyz_token", torch::zeros({shape.width}));
    clsToken_ = register_parameter("cls_token", small({1, 1, shape.width}));
    windowPositions_ = register_parameter("pos_embed_window", small({1, 1 + inWindow, shape.width}));
    positions_ = register_parameter("pos_embed", small({1, shape.width, side, side}));
    const auto list = register_module("blocks", std::make_shared<torch::nn::Module>());
    const VisionBlockShape block{shape.width, shape.heads, shape.mlpRatio, shape.epsilon, false};
    for (std::int64_t i = 0; i < shape.blocks; ++i)
        blocks_.push_back(list->register_module(std::to_string(i), VisionBlock(block)));
}

torch::Tensor PointmapEmbedderImpl::remapped(const torch::Tensor& xyz) const {
    if (shape_.remap == "linear") return xyz;
    const auto z = xyz.narrow(-1, 2, 1);
    return torch::cat({xyz.narrow(-1, 0, 2) / (1 + z), torch::log1p(z)}, -1);
}

torch::Tensor PointmapEmbedderImpl::points(const torch::Tensor& pointmap) {
    const std::vector<std::int64_t> size{shape_.inputSize, shape_.inputSize};
    const auto xyz = torch::upsample_nearest2d(pointmap, size).permute({0, 2, 3, 1});
    const auto valid = xyz.isfinite().all(-1, true);
    const auto embedded = projection_->forward(remapped(torch::where(valid, xyz, torch::zeros_like(xyz))));
    return torch::where(valid, embedded, invalidToken_);
}

torch::Tensor PointmapEmbedderImpl::forward(const torch::Tensor& pointmap) {
    const auto embedded = points(pointmap);
    const std::int64_t batch = embedded.size(0), patch = shape_.patchSize, side = shape_.inputSize / patch;
    const auto windows = embedded.reshape({batch, side, patch, side, patch, shape_.width})
                             .permute({0, 1, 3, 2, 4, 5})
                             .reshape({batch * side * side, patch * patch, shape_.width});
    torch::Tensor x = torch::cat({clsToken_.expand({windows.size(0), -1, -1}), windows}, 1) + windowPositions_;
    for (auto& block : blocks_) x = block->forward(x);
    return x.select(1, 0).reshape({batch, side * side, shape_.width}) + positions_.flatten(2).transpose(1, 2);
}

}  // namespace medseg
