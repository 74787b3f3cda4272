// The parts of a U-Net in two or three dimensions. Convolutions and norms carry the parameter names of torch's own
// modules ("weight", "bias", "running_mean", ...), so that checkpoints look the same as those of the Python original.
#pragma once

#include <string>

#include <torch/torch.h>

namespace medseg {

enum class NormKind { Batch, Instance, Group };
/// "batch", "instance" or "group". Throws UsageError for another name.
NormKind normKindFromName(const std::string& name);

/// Convolution (odd kernel, stride 1, same size) or transposed convolution (kernel 2, stride 2: doubles each axis) over
/// the last 2 or 3 axes.
class SpatialConvolutionImpl : public torch::nn::Module {
  public:
    enum class Kind { Same, Upsample };
    SpatialConvolutionImpl(int dimensions, int inChannels, int outChannels, int kernel, Kind kind = Kind::Same);
    torch::Tensor forward(const torch::Tensor& x);

    torch::Tensor weight, bias;  ///< (out, in, k...) or, transposed, (in, out, 2...); (out)

  private:
    std::vector<std::int64_t> stride_, padding_;
    bool transposed_;
};
TORCH_MODULE(SpatialConvolution);

/// Normalisation over channels (axis 1) with learned scale and shift. Batch norm keeps running statistics; group norm
/// has groups of 16 channels, or one group when the channels do not divide.
class ChannelNormImpl : public torch::nn::Module {
  public:
    ChannelNormImpl(NormKind kind, int channels);
    torch::Tensor forward(const torch::Tensor& x);

    NormKind kind() const { return kind_; }
    torch::Tensor weight, bias, runningMean, runningVariance, batchesSeen;  ///< the last three only for batch norm
    static constexpr double kMomentum = 0.1;
    static constexpr double kEpsilon = 1e-5;

  private:
    NormKind kind_;
    int groups_ = 1;
};
TORCH_MODULE(ChannelNorm);

/// conv 3 - norm - ReLU, twice; with `residual` the input (through a 1x1 convolution and norm where channels differ) is
/// added before the last ReLU (He et al. 2016). Parameter names conv.0, conv.1, conv.3, conv.4 as in an nn.Sequential,
/// shortcut.0 and shortcut.1.
class DoubleConvImpl : public torch::nn::Module {
  public:
    DoubleConvImpl(int dimensions, int inChannels, int outChannels, NormKind norm, bool residual);
    torch::Tensor forward(torch::Tensor x);

  private:
    torch::Tensor step(std::size_t index, const torch::Tensor& x, bool activate);

    std::array<SpatialConvolution, 2> convolutions_{nullptr, nullptr};
    std::array<ChannelNorm, 2> norms_{nullptr, nullptr};
    SpatialConvolution shortcut_{nullptr};
    ChannelNorm shortcutNorm_{nullptr};
    bool residual_;
};
TORCH_MODULE(DoubleConv);

/// Additive attention gate on a skip connection (Oktay et al. 2018, here at the resolution of the skip):
/// skip * sigmoid(norm(psi(relu(norm(g gate) + norm(s skip))))), with half the channels inside.
class AttentionGateImpl : public torch::nn::Module {
  public:
    AttentionGateImpl(int dimensions, int gateChannels, int skipChannels, NormKind norm);
    torch::Tensor forward(const torch::Tensor& gate, const torch::Tensor& skip);

  private:
    SpatialConvolution gate_{nullptr}, skip_{nullptr}, psi_{nullptr};
    ChannelNorm gateNorm_{nullptr}, skipNorm_{nullptr}, psiNorm_{nullptr};
};
TORCH_MODULE(AttentionGate);

}  // namespace medseg
