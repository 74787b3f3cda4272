// The structure autoencoder of SAM 3D Objects: occupancy of a cube to a small latent grid and back, by dense 3D
// convolutions. Parameters carry the names of ss_encoder.safetensors and ss_decoder.ckpt. Grids are (batch, channels,
// x, y, z) with z contiguous.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/volume_convolution.h"

namespace medseg {

struct StructureVaeShape {
    int occupancyChannels = 1;
    int latentChannels = 8;
    std::vector<int> encoderChannels{32, 128, 512};  ///< one a level; each further level halves the grid
    std::vector<int> decoderChannels{512, 128, 32};
    int resBlocks = 2;               ///< a level
    int middleBlocks = 2;            ///< at the smallest grid
    std::string headNorm = "layer";  ///< normalisation before the last convolution: layer or group (32 groups)

    /// Voxels along an axis of the input for one of the latent.
    int reduction() const { return 1 << (encoderChannels.size() - 1); }
};

/// Norm over channels at every voxel (eps 1e-5, affine).
class StructureNormImpl : public torch::nn::Module {
  public:
    explicit StructureNormImpl(std::int64_t channels);
    torch::Tensor forward(const torch::Tensor& x);
    torch::Tensor weight, bias;
};
TORCH_MODULE(StructureNorm);

struct StructurePosterior {
    torch::Tensor mean;         ///< (batch, latent channels, x, y, z)
    torch::Tensor logVariance;  ///< likewise

    /// mean + exp(logVariance / 2) noise.
    torch::Tensor sample(const torch::Tensor& noise) const;
};

class StructureEncoderImpl : public torch::nn::Module {
  public:
    /// Throws UsageError on a shape without levels.
    explicit StructureEncoderImpl(const StructureVaeShape& shape);
    /// occupancy: 0/1 floats (batch, 1, n, n, n), n divisible by reduction().
    StructurePosterior forward(const torch::Tensor& occupancy);

    VolumeConvolution inputLayer{nullptr};
    torch::nn::ModuleList blocks;  ///< residual blocks and resizes in one list, as in the official files
    torch::nn::ModuleList middle;
    torch::nn::Sequential outLayer;
};
TORCH_MODULE(StructureEncoder);

class StructureDecoderImpl : public torch::nn::Module {
  public:
    explicit StructureDecoderImpl(const StructureVaeShape& shape);
    /// latent: (batch, latent channels, n, n, n) to logits (batch, 1, N, N, N); a voxel above 0 is occupied.
    torch::Tensor forward(const torch::Tensor& latent);

    VolumeConvolution inputLayer{nullptr};
    torch::nn::ModuleList blocks;
    torch::nn::ModuleList middle;
    torch::nn::Sequential outLayer;
};
TORCH_MODULE(StructureDecoder);

/// (batch, c, n, n, n) to tokens (batch, n^3, c), z fastest.
torch::Tensor latentToTokens(const torch::Tensor& latent);
/// The way back. Throws DataError unless the tokens fill a cube.
torch::Tensor tokensToLatent(const torch::Tensor& tokens);

/// Voxels with a logit above 0 as rows (batch, x, y, z) of int64, in row-major order.
torch::Tensor activeVoxels(const torch::Tensor& logits);

}  // namespace medseg
