#include "medseg/nn/sam3d/dino.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr double kPlainEpsilon = 1e-5;
constexpr double kTokenDeviation = 0.02;

}  // namespace

DinoImpl::DinoImpl(const DinoShape& shape) : shape_(shape) {
    for (const std::int64_t size : {shape.nativeSize, shape.inputSize})
        if (size < shape.patchSize || size % shape.patchSize != 0)
            throw UsageError(fmt::format("image size {} is no multiple of the patch size {}", size, shape.patchSize));
    const auto backbone = register_module("backbone", std::make_shared<torch::nn::Module>());
    const std::int64_t side = shape.nativeSize / shape.patchSize;
    const auto small = [&](std::vector<std::int64_t> sizes) { return torch::randn(sizes) * kTokenDeviation; };
    clsToken_ = backbone->register_parameter("cls_token", small({1, 1, shape.width}));
    positionTable_ = backbone->register_parameter("pos_embed", small({1, 1 + side * side, shape.width}));
    registerTokens_ = backbone->register_parameter("register_tokens", small({1, shape.registers, shape.width}));
    maskToken_ = backbone->register_parameter("mask_token", torch::zeros({1, shape.width}));
    patches_ = torch::nn::Conv2d(torch::nn::Conv2dOptions(3, shape.width, shape.patchSize).stride(shape.patchSize));
    backbone->register_module("patch_embed", std::make_shared<torch::nn::Module>())->register_module("proj", patches_);
    const auto list = backbone->register_module("blocks", std::make_shared<torch::nn::Module>());
    const VisionBlockShape block{shape.width, shape.heads, shape.mlpRatio, shape.epsilon, shape.layerScale};
    for (std::int64_t i = 0; i < shape.depth; ++i)
        blocks_.push_back(list->register_module(std::to_string(i), VisionBlock(block)));
    norm_ = backbone->register_module("norm", TokenNorm(shape.width, shape.epsilon, true));
}

torch::Tensor DinoImpl::pixels(const torch::Tensor& image) const {
    const std::vector<std::int64_t> size{shape_.inputSize, shape_.inputSize};
    auto resized = torch::upsample_bilinear2d(image, size, false);
    if (resized.size(1) == 1) resized = resized.expand({-1, 3, -1, -1});
    const auto perChannel = [&](const std::array<double, 3>& values) {
        return torch::tensor({values[0], values[1], values[2]}, image.options()).reshape({1, 3, 1, 1});
    };
    return (resized - perChannel(shape_.mean)) / perChannel(shape_.deviation);
}

torch::Tensor DinoImpl::positions() const {
    if (shape_.inputSize == shape_.nativeSize) return positionTable_;
    const std::int64_t native = shape_.nativeSize / shape_.patchSize, side = shape_.inputSize / shape_.patchSize;
    const auto grid =
        positionTable_.narrow(1, 1, native * native).reshape({1, native, native, shape_.width}).permute({0, 3, 1, 2});
    const auto resized = at::_upsample_bicubic2d_aa(grid, std::vector<std::int64_t>{side, side}, false);
    return torch::cat(
        {positionTable_.narrow(1, 0, 1), resized.permute({0, 2, 3, 1}).reshape({1, side * side, shape_.width})}, 1);
}

torch::Tensor DinoImpl::beforeNorm(const torch::Tensor& image) {
    const auto patches = patches_->forward(pixels(image)).flatten(2).transpose(1, 2);
    const std::int64_t batch = patches.size(0);
    const auto table = positions();
    const auto cls = clsToken_.expand({batch, -1, -1}) + table.narrow(1, 0, 1);
    const auto placed = patches + table.narrow(1, 1, table.size(1) - 1);
    torch::Tensor x = torch::cat({cls, registerTokens_.expand({batch, -1, -1}), placed}, 1);
    for (auto& block : blocks_) x = block->forward(x);
    return x;
}

torch::Tensor DinoImpl::forward(const torch::Tensor& image) {
    const auto x = norm_->forward(beforeNorm(image));
    const std::int64_t firstPatch = 1 + shape_.registers;
    return torch::cat({x.narrow(1, 0, 1), x.narrow(1, firstPatch, x.size(1) - firstPatch)}, 1);
}

torch::Tensor DinoImpl::plainTokens(const torch::Tensor& image) {
    return torch::layer_norm(beforeNorm(image), {shape_.width}, {}, {}, kPlainEpsilon);
}

}  // namespace medseg
