#include "medseg/nn/sam3d/structure_vae.h"

#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/nn/sam3d/channel_norm.h"

namespace medseg {
namespace {

constexpr double kNormEpsilon = 1e-5;
constexpr int kGroups = 32;
constexpr double kFirstLogVariance = -6.0;

/// norm, SiLU, convolution, norm, SiLU, convolution, plus the input.
class ResidualBlockImpl : public torch::nn::Module {
  public:
    explicit ResidualBlockImpl(std::int64_t channels) {
        norm1_ = register_module("norm1", StructureNorm(channels));
        norm2_ = register_module("norm2", StructureNorm(channels));
        conv1_ = register_module("conv1", VolumeConvolution(channels, channels));
        conv2_ = register_module("conv2", VolumeConvolution(channels, channels));
        // Training from scratch starts with blocks that pass their input on.
        torch::nn::init::zeros_(conv2_->weight);
        torch::nn::init::zeros_(conv2_->bias);
    }
    torch::Tensor forward(const torch::Tensor& x) {
        const auto inner = conv1_->forward(torch::silu(norm1_->forward(x)));
        return x + conv2_->forward(torch::silu(norm2_->forward(inner)));
    }

  private:
    StructureNorm norm1_{nullptr}, norm2_{nullptr};
    VolumeConvolution conv1_{nullptr}, conv2_{nullptr};
};
TORCH_MODULE(ResidualBlock);

class HalvingImpl : public torch::nn::Module {
  public:
    HalvingImpl(std::int64_t in, std::int64_t out) {
        conv_ = register_module("conv", torch::nn::Conv3d(torch::nn::Conv3dOptions(in, out, 2).stride(2)));
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv_->forward(x); }

  private:
    torch::nn::Conv3d conv_{nullptr};
};
TORCH_MODULE(Halving);

/// Convolution to 8 sub-channels a channel, which become the 2x2x2 children (dx, dy, dz), dz fastest.
class DoublingImpl : public torch::nn::Module {
  public:
    DoublingImpl(std::int64_t in, std::int64_t out) : out_(out) {
        conv_ = register_module("conv", VolumeConvolution(in, 8 * out));
    }
    torch::Tensor forward(const torch::Tensor& x) {
        const auto y = conv_->forward(x);
        const std::int64_t nx = y.size(2), ny = y.size(3), nz = y.size(4);
        return y.reshape({y.size(0), out_, 2, 2, 2, nx, ny, nz})
            .permute({0, 1, 5, 2, 6, 3, 7, 4})
            .reshape({y.size(0), out_, 2 * nx, 2 * ny, 2 * nz});
    }

  private:
    std::int64_t out_;
    VolumeConvolution conv_{nullptr};
};
TORCH_MODULE(Doubling);

/// Group normalisation under the name of the channel norm it replaces.
class GroupHeadNormImpl : public torch::nn::Module {
  public:
    explicit GroupHeadNormImpl(std::int64_t channels) {
        weight_ = register_parameter("weight", torch::ones({channels}));
        bias_ = register_parameter("bias", torch::zeros({channels}));
    }
    torch::Tensor forward(const torch::Tensor& x) {
        return torch::group_norm(x, kGroups, weight_, bias_, kNormEpsilon);
    }

  private:
    torch::Tensor weight_, bias_;
};
TORCH_MODULE(GroupHeadNorm);

torch::nn::Sequential head(std::int64_t channels, std::int64_t out, const std::string& norm) {
    torch::nn::Sequential layers;
    if (norm == "group")
        layers->push_back(GroupHeadNorm(channels));
    else if (norm == "layer")
        layers->push_back(StructureNorm(channels));
    else
        throw UsageError(fmt::format("the structure autoencoder has no head norm \"{}\": layer or group", norm));
    layers->push_back(torch::nn::SiLU());
    layers->push_back(VolumeConvolution(channels, out));
    return layers;
}

void addResidualBlocks(torch::nn::ModuleList& list, int count, std::int64_t channels) {
    for (int i = 0; i < count; ++i) list->push_back(ResidualBlock(channels));
}

torch::Tensor runBlocks(const torch::nn::ModuleList& list, torch::Tensor x) {
    for (const auto& module : *list) {
        if (auto* block = module->as<ResidualBlockImpl>())
            x = block->forward(x);
        else if (auto* halving = module->as<HalvingImpl>())
            x = halving->forward(x);
        else
            x = module->as<DoublingImpl>()->forward(x);
    }
    return x;
}

void requireLevels(const std::vector<int>& channels) {
    if (channels.empty()) throw UsageError("the structure autoencoder needs at least one level of channels");
}

}  // namespace

StructureNormImpl::StructureNormImpl(std::int64_t channels) {
    weight = register_parameter("weight", torch::ones({channels}));
    bias = register_parameter("bias", torch::zeros({channels}));
}

torch::Tensor StructureNormImpl::forward(const torch::Tensor& x) {
    return channelNorm(x, weight, bias, kNormEpsilon);
}

torch::Tensor StructurePosterior::sample(const torch::Tensor& noise) const {
    return mean + torch::exp(0.5 * logVariance) * noise;
}

StructureEncoderImpl::StructureEncoderImpl(const StructureVaeShape& shape) {
    requireLevels(shape.encoderChannels);
    const auto& channels = shape.encoderChannels;
    inputLayer = register_module("input_layer", VolumeConvolution(shape.occupancyChannels, channels.front()));
    for (std::size_t level = 0; level < channels.size(); ++level) {
        addResidualBlocks(blocks, shape.resBlocks, channels[level]);
        if (level + 1 < channels.size()) blocks->push_back(Halving(channels[level], channels[level + 1]));
    }
    addResidualBlocks(middle, shape.middleBlocks, channels.back());
    register_module("blocks", blocks);
    register_module("middle_block", middle);
    outLayer = register_module("out_layer", head(channels.back(), 2 * shape.latentChannels, shape.headNorm));
    // Training from scratch starts almost without noise: a decoder that cannot see the shape through the noise learns
    // to answer "empty" and never looks again.
    const torch::NoGradGuard noGradient;
    auto& last = *outLayer->ptr<VolumeConvolutionImpl>(outLayer->size() - 1);
    last.bias.slice(0, shape.latentChannels).fill_(kFirstLogVariance);
}

StructurePosterior StructureEncoderImpl::forward(const torch::Tensor& occupancy) {
    const auto inner = runBlocks(middle, runBlocks(blocks, inputLayer->forward(occupancy)));
    const auto halves = outLayer->forward(inner).chunk(2, 1);
    return {halves[0], halves[1]};
}

StructureDecoderImpl::StructureDecoderImpl(const StructureVaeShape& shape) {
    requireLevels(shape.decoderChannels);
    const auto& channels = shape.decoderChannels;
    inputLayer = register_module("input_layer", VolumeConvolution(shape.latentChannels, channels.front()));
    addResidualBlocks(middle, shape.middleBlocks, channels.front());
    for (std::size_t level = 0; level < channels.size(); ++level) {
        addResidualBlocks(blocks, shape.resBlocks, channels[level]);
        if (level + 1 < channels.size()) blocks->push_back(Doubling(channels[level], channels[level + 1]));
    }
    register_module("blocks", blocks);
    register_module("middle_block", middle);
    outLayer = register_module("out_layer", head(channels.back(), shape.occupancyChannels, shape.headNorm));
}

torch::Tensor StructureDecoderImpl::forward(const torch::Tensor& latent) {
    return outLayer->forward(runBlocks(blocks, runBlocks(middle, inputLayer->forward(latent))));
}

torch::Tensor latentToTokens(const torch::Tensor& latent) {
    return latent.flatten(2).transpose(1, 2).contiguous();
}

torch::Tensor tokensToLatent(const torch::Tensor& tokens) {
    const std::int64_t count = tokens.size(1);
    const auto side = static_cast<std::int64_t>(std::llround(std::cbrt(static_cast<double>(count))));
    if (side * side * side != count) throw DataError(fmt::format("{} structure tokens do not fill a cube", count));
    return tokens.transpose(1, 2).reshape({tokens.size(0), tokens.size(2), side, side, side});
}

torch::Tensor activeVoxels(const torch::Tensor& logits) {
    return torch::nonzero(logits.select(1, 0) > 0);
}

}  // namespace medseg
