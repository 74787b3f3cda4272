// The generator of structured latents of SAM 3D Objects: the velocity of a flow from noise to one latent a voxel of a
// given structure. Convolutions lead from the structure's grid to one half as fine, where a transformer attends over
// the whole object and to the condition, and back. Parameters carry the names below
// "_base_models.generator.reverse_fn.backbone." in slat_generator.ckpt.
#pragma once

#include <functional>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/flow_sampler.h"
#include "medseg/nn/sam3d/sparse_layers.h"

namespace medseg {

struct LatentFlowShape {
    std::int64_t inChannels = 8;
    std::int64_t outChannels = 8;
    std::int64_t width = 1024;
    std::int64_t conditionWidth = 1024;
    std::int64_t blocks = 24;
    std::int64_t heads = 16;
    std::int64_t mlpRatio = 4;
    std::int64_t timeFeatures = 256;
    std::int64_t resBlocks = 2;                 ///< on each level, the last of which changes the grid
    std::vector<std::int64_t> ioChannels{128};  ///< of the finer levels, finest first
    bool headNorm = true;
    bool skips = true;  ///< output blocks also see what left the mirrored input block
};

/// Norm, SiLU, convolution, norm modulated by time, SiLU, convolution, plus the input. A change of grid comes first.
/// Names norm1, conv1, conv2, emb_layers.1 and, when channels change, skip_connection.
class LatentResidualBlockImpl : public torch::nn::Module {
  public:
    LatentResidualBlockImpl(std::int64_t in, std::int64_t out, std::int64_t embedding);
    /// embedding: (batch, width), a row for every batch item by its index.
    torch::Tensor forward(const torch::Tensor& x, SparseStructure& structure, const torch::Tensor& embedding);

  private:
    TokenNorm norm1_{nullptr}, norm2_{nullptr};
    SparseConvolution conv1_{nullptr}, conv2_{nullptr};
    Linear modulation_{nullptr}, skip_{nullptr};
};
TORCH_MODULE(LatentResidualBlock);

/// Self-attention over each object, attention to its condition, MLP; modulated by time.
class LatentFlowBlockImpl : public torch::nn::Module {
  public:
    explicit LatentFlowBlockImpl(const LatentFlowShape& shape);
    KeysValues prepareCondition(const torch::Tensor& tokens) { return cross_->prepare(tokens); }
    torch::Tensor forward(const torch::Tensor& x, SparseStructure& structure, const torch::Tensor& embedding,
                          const KeysValues& condition);

  private:
    TokenNorm plainNorm_{nullptr}, norm2_{nullptr};
    SparseSelfAttention attention_{nullptr};
    FlowCrossAttention cross_{nullptr};
    FlowMlp mlp_{nullptr};
    Linear modulation_{nullptr};
};
TORCH_MODULE(LatentFlowBlock);

/// Keys and values of the condition in every block.
using LatentCondition = std::vector<KeysValues>;

class LatentFlowImpl : public torch::nn::Module {
  public:
    /// Throws UsageError on a shape that cannot be.
    explicit LatentFlowImpl(const LatentFlowShape& shape);

    const LatentFlowShape& shape() const { return shape_; }

    /// tokens: (batch, n, condition width).
    LatentCondition prepareCondition(const torch::Tensor& tokens);
    /// Tokens multiplied by 0, which is what the release takes for "no condition".
    LatentCondition emptyCondition(std::int64_t batch);

    /// x: (voxels, inChannels); t: (batch), time times 1000; the result is (voxels, outChannels).
    torch::Tensor velocity(const torch::Tensor& x, SparseStructure& structure, const torch::Tensor& t,
                           const LatentCondition& condition);

    /// For tests: what leaves every input block, with its structure.
    struct Level {
        torch::Tensor features;
        SparseStructure* structure;
    };
    std::vector<Level> inputLevels(const torch::Tensor& x, SparseStructure& structure, const torch::Tensor& embedding);
    torch::Tensor timeEmbedding(const torch::Tensor& t) { return timeEmbedder_->forward(t); }

  private:
    struct IoBlock {
        LatentResidualBlock block{nullptr};
        bool changesGrid = false;
    };
    LatentFlowShape shape_;
    TimeEmbedder timeEmbedder_{nullptr};
    Linear input_{nullptr}, output_{nullptr};
    std::vector<IoBlock> inputBlocks_, outputBlocks_;
    std::vector<LatentFlowBlock> blocks_;
};
TORCH_MODULE(LatentFlow);

/// Sums of the children of every cell over (children + 1): the release counts the zero it starts from.
torch::Tensor averageCells(const torch::Tensor& x, const SparseCells& cells);

/// Euler steps from noise (voxels, channels), guided while the sampling's interval says so.
torch::Tensor sampleLatents(LatentFlow& model, const torch::Tensor& noise, SparseStructure& structure,
                            const LatentCondition& condition, const LatentCondition& unconditional,
                            const FlowSampling& sampling,
                            const std::function<void(int step, const torch::Tensor& state)>& afterStep = {});

/// The latents that decoders take: sampled ones times the release's deviation plus its mean, channel by channel.
torch::Tensor denormalisedLatents(const torch::Tensor& sampled);

}  // namespace medseg
