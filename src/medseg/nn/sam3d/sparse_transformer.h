// The torso that SAM 3D's decoders of structured latents share: a transformer over occupied voxels whose attention
// stays within windows, moved by half a window in every other block (without wrapping around).
#pragma once

#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/sparse_layers.h"

namespace medseg {

struct SparseTransformerShape {
    std::int64_t inChannels = 8;
    std::int64_t width = 768;
    std::int64_t blocks = 12;
    std::int64_t heads = 12;
    std::int64_t mlpRatio = 4;
    std::int64_t window = 8;  ///< voxels along a side; 0: attention over the whole of each batch item
    bool headNorm = false;

    /// How far the windows of a block are moved, voxels.
    std::int64_t shiftOf(std::int64_t block) const { return block % 2 == 0 ? 0 : window / 2; }
};

/// x + attention(norm(x)), then x + mlp(norm(x)); norms without parameters, eps 1e-6. Names attn and mlp.
class SparseTransformerBlockImpl : public torch::nn::Module {
  public:
    explicit SparseTransformerBlockImpl(const SparseTransformerShape& shape);
    torch::Tensor forward(const torch::Tensor& x, const AttentionGroups& groups);

  private:
    TokenNorm norm_{nullptr};
    SparseSelfAttention attention_{nullptr};
    FlowMlp mlp_{nullptr};
};
TORCH_MODULE(SparseTransformerBlock);

/// Names input_layer and blocks.N, for a module that is torso and head in one.
class SparseTransformerImpl : public torch::nn::Module {
  public:
    explicit SparseTransformerImpl(const SparseTransformerShape& shape);

    const SparseTransformerShape& shape() const { return shape_; }

    /// features: (voxels, inChannels) to (voxels, width); no norm follows the last block.
    torch::Tensor forward(const torch::Tensor& features, SparseStructure& structure);

    /// The parts of forward(): input layer with positions, one block.
    torch::Tensor embed(const torch::Tensor& features, const SparseStructure& structure);
    torch::Tensor runBlock(std::int64_t index, const torch::Tensor& x, SparseStructure& structure);

  private:
    SparseTransformerShape shape_;
    Linear input_{nullptr};
    std::vector<SparseTransformerBlock> blocks_;
};
TORCH_MODULE(SparseTransformer);

}  // namespace medseg
