// The 2D U-Net of the 117-structure pipeline (Ronneberger, Fischer, Brox 2015, with batch norm and padding).
#pragma once

#include <vector>

#include <torch/torch.h>

namespace medseg {

/// conv 3x3 - batch norm - ReLU, twice. Parameter names: conv.0, conv.1, conv.3, conv.4 (as an nn.Sequential "conv").
class DoubleConvImpl : public torch::nn::Module {
  public:
    DoubleConvImpl(int inChannels, int outChannels);
    torch::Tensor forward(torch::Tensor x);

  private:
    torch::nn::Sequential conv_;
};
TORCH_MODULE(DoubleConv);

struct UNet2dShape {
    int inChannels = 1;
    int outChannels = 117;
    std::vector<int> features{32, 64, 128, 256};  ///< encoder levels, highest resolution first
    int bottleneck = 512;
};

/// Encoder levels enc1..encN with 2x2 max pooling between, bottleneck, and decoder levels upN, decN .. up1, dec1:
/// transposed convolution 2x2, concatenation [upsampled, skip], double convolution; final_conv 1x1.
/// Input (batch, inChannels, height, width), height and width divisible by 2^levels; output (batch, outChannels,
/// height, width) of logits. Parameter names equal the Python original's, so a state dict loads there with strict=True.
class UNet2dImpl : public torch::nn::Module {
  public:
    explicit UNet2dImpl(const UNet2dShape& shape);
    torch::Tensor forward(torch::Tensor x);

    torch::nn::Conv2d finalConv{nullptr};
    const UNet2dShape& shape() const { return shape_; }
    /// Input height and width must be divisible by this.
    int divisor() const { return 1 << shape_.features.size(); }

  private:
    UNet2dShape shape_;
    std::vector<DoubleConv> encoders_;
    DoubleConv bottleneck_{nullptr};
    std::vector<torch::nn::ConvTranspose2d> upsamplers_;  ///< highest resolution first
    std::vector<DoubleConv> decoders_;
    torch::nn::MaxPool2d pool_{nullptr};
};
TORCH_MODULE(UNet2d);

}  // namespace medseg
