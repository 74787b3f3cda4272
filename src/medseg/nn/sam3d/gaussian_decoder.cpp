#include "medseg/nn/sam3d/gaussian_decoder.h"

#include <cmath>

namespace medseg {
namespace {

constexpr double kOutputEpsilon = 1e-5;

/// Low-discrepancy points in (-1, 1)^3 through atanh, so that tanh spreads a voxel's Gaussians evenly (Hammersley
/// 1960).
torch::Tensor startingOffsets(std::int64_t count) {
    const auto radical = [](std::int64_t index, std::int64_t base) {
        double value = 0, step = 1;
        for (; index > 0; index /= base)
            value += static_cast<double>(index % base) * (step /= static_cast<double>(base));
        return value;
    };
    const auto table = torch::empty({count, 3});
    for (std::int64_t i = 0; i < count; ++i) {
        const double values[3] = {(static_cast<double>(i) + 0.5) / static_cast<double>(count), radical(i + 1, 2),
                                  radical(i + 1, 3)};
        for (std::int64_t axis = 0; axis < 3; ++axis) table[i][axis] = std::atanh(1.8 * values[axis] - 0.9);
    }
    return table;
}

}  // namespace

GaussianDecoderImpl::GaussianDecoderImpl(const GaussianDecoderShape& shape) : shape_(shape) {
    torso_ = SparseTransformer(shape.torso);
    if (shape.perturbOffset) perturbation_ = register_buffer("offset_perturbation", startingOffsets(shape.perVoxel));
    for (const auto& child : torso_->named_children()) register_module(child.key(), child.value());
    output_ = register_module("out_layer", Linear(shape.torso.width, shape.channels()));
    torch::NoGradGuard noGradient;
    output_->weight.zero_();
    output_->bias.zero_();
}

torch::Tensor GaussianDecoderImpl::forward(const torch::Tensor& latents, SparseStructure& structure) {
    const auto x = torso_->forward(latents, structure);
    return output_->forward(torch::layer_norm(x, {x.size(1)}, {}, {}, kOutputEpsilon));
}

std::vector<Gaussians> GaussianDecoderImpl::gaussians(const torch::Tensor& channels,
                                                      const SparseStructure& structure) const {
    const double resolution = static_cast<double>(shape_.resolution);
    std::vector<Gaussians> items;
    for (const auto& [first, rows] : structure.items()) {
        const auto raw = channels.narrow(0, first, rows);
        std::int64_t next = 0;
        // Channels are stored field by field.
        const auto field = [&](std::int64_t values, double rate) {
            const auto part = raw.narrow(1, next, values * shape_.perVoxel).reshape({-1, shape_.perVoxel, values});
            next += values * shape_.perVoxel;
            return part * rate;
        };
        auto offset = field(3, shape_.offsetRate);
        if (shape_.perturbOffset) offset = offset + perturbation_;
        const auto centre =
            (structure.positions().narrow(0, first, rows).to(raw.device(), torch::kFloat) + 0.5) / resolution;
        Gaussians item;
        item.centres =
            (centre.unsqueeze(1) + torch::tanh(offset) * (0.5 * shape_.voxelSize / resolution) - 0.5).reshape({-1, 3});
        item.colors = field(3, shape_.colorRate).reshape({-1, 1, 3});
        const auto scale = field(3, shape_.scaleRate).reshape({-1, 3});
        const auto positive = shape_.softplus ? torch::softplus(scale + std::log(std::expm1(shape_.scaleBias)))
                                              : torch::exp(scale + std::log(shape_.scaleBias));
        item.scales = torch::sqrt(positive.square() + shape_.smallestScale * shape_.smallestScale);
        const auto identity = torch::tensor({1.0F, 0.0F, 0.0F, 0.0F}, raw.options().requires_grad(false));
        const auto quaternion = field(4, shape_.rotationRate).reshape({-1, 4}) + identity;
        item.rotations = quaternion / quaternion.norm(2, 1, true).clamp_min(1e-12);
        const double logit = std::log(shape_.opacityBias / (1 - shape_.opacityBias));
        item.opacities = torch::sigmoid(field(1, shape_.opacityRate).reshape({-1, 1}) + logit);
        items.push_back(std::move(item));
    }
    return items;
}

}  // namespace medseg
