// The U-Net family in two and three dimensions (Ronneberger, Fischer, Brox 2015; Cicek et al. 2016), with batch,
// instance or group norm, residual blocks, attention gates and deep supervision as options.
#pragma once

#include <vector>

#include "medseg/nn/unet/unet_blocks.h"

namespace medseg {

struct UNetShape {
    int inChannels = 1;
    int outChannels = 117;
    std::vector<int> features{32, 64, 128, 256};  ///< encoder levels, highest resolution first
    int bottleneck = 512;
    int dimensions = 2;  ///< 2 or 3
    NormKind norm = NormKind::Batch;
    bool residual = false;
    bool attention = false;
    bool deepSupervision = false;
};

/// Encoder levels enc1..encN with max pooling by 2 between, bottleneck, and decoder levels upN, decN .. up1, dec1:
/// transposed convolution 2, concatenation [upsampled, skip], double convolution; final_conv 1x1. Attention gates are
/// attN .. att1, heads of deep supervision ds_heads.2 .. ds_heads.N. The plain two-dimensional net has the parameter
/// names of the Python original, so a state dict loads there with strict=True.
class UNetImpl : public torch::nn::Module {
  public:
    explicit UNetImpl(const UNetShape& shape);

    /// x: (batch, inChannels, [depth,] height, width), each axis divisible by divisor(). Returns logits of the same
    /// size, (batch, outChannels, ...).
    torch::Tensor forward(torch::Tensor x);
    /// Logits at full size and then, with deep supervision, at half, a quarter ... of it, down to decoder level N.
    std::vector<torch::Tensor> forwardAll(torch::Tensor x);
    /// forward(), and the bottleneck's activations (batch, bottleneck, ...) that it went through.
    torch::Tensor forwardWithBottleneck(torch::Tensor x, torch::Tensor& bottleneck);

    /// What finalConv gets: (batch, features[0], ...) at the size of x. forward() is finalConv of it.
    torch::Tensor features(torch::Tensor x);

    const UNetShape& shape() const { return shape_; }
    /// Input axes must be divisible by this.
    int divisor() const { return 1 << shape_.features.size(); }
    SpatialConvolution finalConv{nullptr};

  private:
    /// features(), and the bottleneck's activations; logits of the lower decoder levels, highest resolution first, go
    /// to `lower` in training.
    torch::Tensor decoded(torch::Tensor x, std::vector<torch::Tensor>& lower, torch::Tensor& bottleneck);
    torch::Tensor upsample(std::size_t level, const torch::Tensor& x, const torch::Tensor& skip);
    torch::Tensor head(SpatialConvolution& convolution, const torch::Tensor& x);

    UNetShape shape_;
    std::vector<DoubleConv> encoders_, decoders_;
    DoubleConv bottleneck_{nullptr};
    std::vector<SpatialConvolution> upsamplers_;  ///< highest resolution first, as the other lists
    std::vector<AttentionGate> gates_;
    std::vector<SpatialConvolution> deepHeads_;  ///< of level 2, 3, ...
};
TORCH_MODULE(UNet);

}  // namespace medseg
