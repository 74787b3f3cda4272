// The plain vision transformer that turns an image into the embedding SAM's decoder works on (Li et al. 2022, "ViTDet";
// Kirillov et al. 2023).
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/linear.h"
#include "medseg/nn/sam/mlp.h"

namespace medseg {

struct ImageEncoderShape {
    std::int64_t imageSize = 1024;  ///< pixels along both axes
    std::int64_t patchSize = 16;
    std::int64_t width = 768;
    std::int64_t depth = 12;
    std::int64_t heads = 12;
    std::int64_t mlpWidth = 3072;
    std::int64_t outChannels = 256;
    std::int64_t window = 14;                ///< cells along both axes of an attention window
    std::vector<std::int64_t> globalBlocks;  ///< blocks that attend to the whole grid; the others to windows
    bool qkvBias = true;
    bool absolutePositions = true;
    bool relativePositions = true;
    std::int64_t globalTable = 0;  ///< rows of the global blocks' position tables; 0 = 2 grid - 1 (no interpolation)

    std::int64_t grid() const { return imageSize / patchSize; }
};

/// What every image encoder of the SAM family does.
class SamImageEncoder : public torch::nn::Module {
  public:
    /// image: (batch, 3, size, size), already normalised, to (batch, channels, grid, grid).
    virtual torch::Tensor forward(const torch::Tensor& image) = 0;
};

/// Cuts (batch, h, w, c) into windows (batch rows columns, window, window, c), zeros appended at the bottom and right.
torch::Tensor windowPartition(const torch::Tensor& x, std::int64_t window);
/// The inverse, without the appended part: windows to (batch, height, width, c).
torch::Tensor windowReverse(const torch::Tensor& windows, std::int64_t height, std::int64_t width);

/// The rows of a relative position table (length, d) for each pair of `queries` and `keys` positions along one axis:
/// (queries, keys, d). A table of another length than 2 max(queries, keys) - 1 is interpolated linearly to it; where
/// the sizes differ, the coordinates of the shorter side are stretched and offsets truncated.
torch::Tensor relativePositionRows(const torch::Tensor& table, std::int64_t queries, std::int64_t keys);

/// Attention over a grid with decomposed relative positions. Parameters: rel_pos_h, rel_pos_w, qkv, proj.
class GridAttentionImpl : public torch::nn::Module {
  public:
    /// `tableLength`: rows of the two tables; 0 = no relative positions.
    GridAttentionImpl(std::int64_t width, std::int64_t heads, bool qkvBias, std::int64_t tableLength);

    /// x: (batch, h, w, width).
    torch::Tensor forward(const torch::Tensor& x) const;

  private:
    std::int64_t heads_;
    Linear qkv_{nullptr};
    Linear proj_{nullptr};
    torch::Tensor relativeHeight_;
    torch::Tensor relativeWidth_;
};
TORCH_MODULE(GridAttention);

class VitBlockImpl : public torch::nn::Module {
  public:
    VitBlockImpl(const ImageEncoderShape& shape, bool global);

    /// x: (batch, grid, grid, width).
    torch::Tensor forward(const torch::Tensor& x);
    /// What the attention adds, in window layout; padded positions included.
    torch::Tensor attentionWindows(const torch::Tensor& x);

  private:
    std::int64_t window_;  ///< 0: global
    torch::nn::LayerNorm norm1_{nullptr};
    GridAttention attention_{nullptr};
    torch::nn::LayerNorm norm2_{nullptr};
    MlpBlock mlp_{nullptr};
};
TORCH_MODULE(VitBlock);

/// 1x1 convolution, layer norm, 3x3 convolution, layer norm: the neck of all image encoders of the family.
torch::nn::Sequential encoderNeck(std::int64_t width, std::int64_t outChannels);

class VitImageEncoderImpl : public SamImageEncoder {
  public:
    explicit VitImageEncoderImpl(const ImageEncoderShape& shape);

    torch::Tensor forward(const torch::Tensor& image) override;

    /// Patches with their absolute positions: (batch, grid, grid, width).
    torch::Tensor patchTokens(const torch::Tensor& image);
    /// Tokens after block `index`.
    torch::Tensor throughBlock(std::size_t index, const torch::Tensor& tokens);
    torch::Tensor attentionWindows(std::size_t index, const torch::Tensor& tokens);
    torch::Tensor throughNeck(const torch::Tensor& tokens);
    std::size_t depth() const { return blocks_->size(); }

    /// In training the activations of the blocks are computed again in the backward pass instead of being kept.
    void recomputeActivations(bool on) { recompute_ = on; }

  private:
    bool recompute_ = false;
    torch::Tensor positions_;
    torch::nn::Conv2d patchProjection_{nullptr};
    torch::nn::ModuleList blocks_{nullptr};
    torch::nn::Sequential neck_{nullptr};
};
TORCH_MODULE(VitImageEncoder);

}  // namespace medseg
