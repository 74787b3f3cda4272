// Points, boxes and masks as embeddings: the prompt encoder of SAM; SAM 2's is the same with other sizes.
#pragma once

#include <cstdint>
#include <utility>

#include <torch/torch.h>

#include "medseg/nn/sam/position_encoding.h"

namespace medseg {

struct PromptEncoderShape {
    std::int64_t width = 256;      ///< channels of the embeddings
    std::int64_t gridHeight = 64;  ///< cells of the image embedding
    std::int64_t gridWidth = 64;
    std::int64_t imageHeight = 1024;  ///< pixels of the network's input, in which prompts are given
    std::int64_t imageWidth = 1024;
    std::int64_t maskChannels = 16;  ///< hidden channels of the mask prompt
};

/// What the user points at, for `batch` objects. Undefined tensors: no such prompt. Positions are x, y in pixels of the
/// network's input.
struct PromptBatch {
    torch::Tensor points;  ///< (batch, n, 2)
    torch::Tensor labels;  ///< (batch, n): 1 inside, 0 outside, -1 not a point, 2 and 3 corners of a box
    torch::Tensor boxes;   ///< (batch, 4): x0, y0, x1, y1
    torch::Tensor masks;   ///< (batch, 1, 4 gridHeight, 4 gridWidth): logits

    /// Number of objects; 1 when there is no prompt at all.
    std::int64_t batch() const;
};

struct PromptEmbedding {
    torch::Tensor sparse;  ///< (batch, tokens, width): points, then box corners
    torch::Tensor dense;   ///< (batch, width, gridHeight, gridWidth)
};

class PromptEncoderImpl : public torch::nn::Module {
  public:
    explicit PromptEncoderImpl(const PromptEncoderShape& shape);

    /// Points without a box get one more token that is no point, as in the official code.
    PromptEmbedding forward(const PromptBatch& prompts);

    /// Position codes of the image embedding's cells: (1, width, gridHeight, gridWidth).
    torch::Tensor gridPosition() const;

    const PromptEncoderShape& shape() const { return shape_; }

  private:
    torch::Tensor pointTokens(torch::Tensor points, torch::Tensor labels, bool padded) const;
    torch::Tensor boxTokens(const torch::Tensor& boxes) const;
    torch::Tensor pointEmbedding(std::size_t kind) const;

    PromptEncoderShape shape_;
    RandomPositionEncoding positions_{nullptr};
    torch::nn::ModuleList pointEmbeddings_{nullptr};  ///< outside, inside, top left corner, bottom right corner
    torch::nn::Embedding notAPoint_{nullptr};
    torch::nn::Sequential maskDownscaling_{nullptr};
    torch::nn::Embedding noMask_{nullptr};
};
TORCH_MODULE(PromptEncoder);

}  // namespace medseg
