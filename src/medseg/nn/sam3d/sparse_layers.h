// Layers of sparse networks: convolution at occupied voxels, normalisation over a shape's voxels, attention within
// groups of voxels. Features are (voxels, channels) in the order of their SparseStructure.
#pragma once

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam3d/flow_layers.h"
#include "medseg/nn/sam3d/sparse_structure.h"

namespace medseg {

/// y[output] += W_k x[input] over all taps k, with gradients. x: (rows, in); weight: (out, taps, in); the result is
/// (taps.outputRows, out). Beyond operands and result it needs a few thousand rows, in the backward pass too.
torch::Tensor sparseProduct(const torch::Tensor& x, const torch::Tensor& weight, const SparseTapsPointer& taps);

/// Submanifold convolution with kernel 3 or 1: that of a dense zero-padded grid, read at occupied voxels. Parameters
/// conv.weight (out, kx, ky, kz, in) and conv.bias.
class SparseConvolutionImpl : public torch::nn::Module {
  public:
    SparseConvolutionImpl(std::int64_t in, std::int64_t out, std::int64_t kernel);

    torch::Tensor forward(const torch::Tensor& x, SparseStructure& structure);
    /// The convolution on structure.subdivided() of features that the eight children take over from their voxel:
    /// (voxels, in) to (8 voxels, out), at less than a third of the operations.
    torch::Tensor forwardToChildren(const torch::Tensor& x, SparseStructure& structure);
    void zero();

  private:
    std::int64_t in_, out_, kernel_;
    torch::Tensor weight_, bias_;
};
TORCH_MODULE(SparseConvolution);

/// Group normalisation with statistics over all voxels of a batch item.
class SparseGroupNormImpl : public torch::nn::Module {
  public:
    /// Throws UsageError unless the groups divide the channels.
    SparseGroupNormImpl(std::int64_t groups, std::int64_t channels, double epsilon);
    torch::Tensor forward(const torch::Tensor& x, const SparseStructure& structure);

  private:
    std::int64_t groups_;
    double epsilon_;
    torch::Tensor weight_, bias_;
};
TORCH_MODULE(SparseGroupNorm);

/// softmax(q k^T / sqrt(d)) v within groups. q, k, v: (n, heads, d); the result is (n, heads * d).
torch::Tensor groupedAttention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const AttentionGroups& groups);

/// Self-attention with names to_qkv, to_out and, with `headNorm`, q_rms_norm and k_rms_norm.
class SparseSelfAttentionImpl : public torch::nn::Module {
  public:
    SparseSelfAttentionImpl(std::int64_t width, std::int64_t heads, bool headNorm);
    torch::Tensor forward(const torch::Tensor& x, const AttentionGroups& groups);

  private:
    std::int64_t heads_;
    Linear toQkv_{nullptr}, toOut_{nullptr};
    HeadNorm qNorm_{nullptr}, kNorm_{nullptr};
};
TORCH_MODULE(SparseSelfAttention);

}  // namespace medseg
