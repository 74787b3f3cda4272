// Pieces that the forward and backward passes of attention share: tiles of queries, packed heads, logits with bias.
#pragma once

#include <algorithm>
#include <numeric>

#include "medseg/nn/aligned_buffer.h"
#include "medseg/nn/attention_kernel.h"
#include "medseg/nn/tile_product.h"

namespace medseg::attention {

using Index = std::ptrdiff_t;

/// Queries of a tile and keys of a block: whole strips and whole panels.
constexpr Index kTileQueries = 8 * kStripRows;
constexpr Index kBlockKeys = std::lcm(kStripRows, kPanelColumns) * (kStripRows == 14 ? 1 : 5);
static_assert(kBlockKeys <= kTileStride && kLargestHeadDepth <= kTileStride);
constexpr Index kTileSize = kTileQueries * kTileStride;

/// Stands in for minus infinity where a difference of two of them must not become NaN.
constexpr float kLowest = -1e30F;

/// Rows of a matrix into a tile, times a factor; rows up to the end of the last strip become zero.
inline void fillTile(const float* source, Index rowStep, Index rows, Index columns, float factor, float* tile) {
    const Index stripped = roundUp(rows, kStripRows);
    for (Index r = 0; r < stripped; ++r) {
        float* target = tile + r * kTileStride;
        if (r >= rows) {
            std::fill_n(target, columns, 0.0F);
            continue;
        }
        for (Index c = 0; c < columns; ++c) target[c] = source[r * rowStep + c] * factor;
    }
}

/// Adds the bias to the logits of one tile and block.
class BiasReader {
  public:
    explicit BiasReader(const AttentionBias& bias)
        : bias_(bias),
          widthStride_(roundUp(bias.gridWidth, FloatLanes::kCount) + FloatLanes::kCount),
          widths_(alignedBuffer(bias.gridWidth > 0 ? kTileQueries * widthStride_ : 0)) {}

    /// To be called for every tile before add().
    void startTile(Index batch, Index head, Index firstQuery, Index queries) {
        if (bias_.dense.data != nullptr) dense_ = bias_.dense.head(batch, head) + firstQuery * bias_.dense.rowStep;
        if (bias_.gridWidth == 0) return;
        heights_ = bias_.height.head(batch, head) + firstQuery * bias_.height.rowStep;
        const float* widths = bias_.width.head(batch, head) + firstQuery * bias_.width.rowStep;
        for (Index r = 0; r < queries; ++r) {
            float* target = widths_.get() + r * widthStride_;
            std::copy_n(widths + r * bias_.width.rowStep, bias_.gridWidth, target);
            std::fill(target + bias_.gridWidth, target + widthStride_, 0.0F);
        }
    }

    /// Row `query` of the tile; `logits`: keys from firstKey on, with room for a register beyond `keys`.
    void add(Index query, Index firstKey, Index keys, float* logits) const {
        if (bias_.dense.data != nullptr) addDense(query, firstKey, keys, logits);
        if (bias_.gridWidth > 0) addGrid(query, firstKey, keys, logits);
    }

  private:
    void addDense(Index query, Index firstKey, Index keys, float* logits) const {
        const float* row = dense_ + query * bias_.dense.rowStep + firstKey * bias_.denseColumnStep;
        if (bias_.denseColumnStep == 0)
            for (Index c = 0; c < keys; ++c) logits[c] += row[0];
        else
            for (Index c = 0; c < keys; ++c) logits[c] += row[c];
    }

    /// Writes the terms of one row of the grid after the other, whole registers at a time: what spills over the end of
    /// a row is overwritten by the next.
    void addGrid(Index query, Index firstKey, Index keys, float* logits) const {
        alignas(64) float terms[kTileStride + 2 * FloatLanes::kCount];
        const float* heights = heights_ + query * bias_.height.rowStep;
        const float* widths = widths_.get() + query * widthStride_;
        const Index end = firstKey + keys;
        for (Index row = firstKey / bias_.gridWidth; row * bias_.gridWidth < end; ++row) {
            const Index first = std::max<Index>(0, firstKey - row * bias_.gridWidth);
            const Index last = std::min(bias_.gridWidth, end - row * bias_.gridWidth);
            const FloatLanes height = FloatLanes::of(heights[row]);
            float* target = terms + row * bias_.gridWidth - firstKey;
            for (Index c = first; c < last; c += FloatLanes::kCount)
                (height + FloatLanes::load(widths + c)).store(target + c);
        }
        for (Index c = 0; c < keys; c += FloatLanes::kCount)
            (FloatLanes::load(logits + c) + FloatLanes::load(terms + c)).store(logits + c);
    }

    AttentionBias bias_;
    Index widthStride_;
    AlignedBuffer widths_;
    const float* dense_ = nullptr;
    const float* heights_ = nullptr;
};

}  // namespace medseg::attention
