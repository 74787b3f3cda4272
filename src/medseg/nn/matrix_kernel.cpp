#include "medseg/nn/matrix_kernel.h"

#include <algorithm>

#include "medseg/nn/aligned_buffer.h"
#include "medseg/nn/tile_product.h"

namespace medseg {
namespace {

using Index = std::ptrdiff_t;

constexpr Index kTileRows = 4 * kStripRows;
/// Depth of one pass: with kTileRows rows it fits a small L2 cache.
constexpr Index kPassDepth = 1024;
/// Depth of one step: a panel of B of that depth stays in L1 while the strips of A go over it.
constexpr Index kStepDepth = 256;
/// Steps between depths of a transposed tile.
constexpr int kTransposedStride = 64;
static_assert(kTransposedStride >= kTileRows);

/// Some rows of A over the depth of one pass, where strips can read them.
class RowTile {
  public:
    explicit RowTile(bool transposed)
        : transposed_(transposed),
          memory_(alignedBuffer(transposed ? kPassDepth * kTransposedStride
                                           : kPassDepth / kStepDepth * kTileRows * kTileStride)) {}

    /// `a`: its first element is the tile's. Rows up to the end of the last strip become zero.
    void fill(const MatrixView& a, Index rows, Index depth) {
        const Index stripped = roundUp(rows, kStripRows);
        if (transposed_) {
            for (Index k = 0; k < depth; ++k) {
                float* target = memory_.get() + k * kTransposedStride;
                std::copy_n(a.data + k * a.columnStep, rows, target);
                std::fill(target + rows, target + stripped, 0.0F);
            }
            return;
        }
        for (Index first = 0; first < depth; first += kStepDepth) {
            const Index count = std::min(kStepDepth, depth - first);
            float* step = memory_.get() + first / kStepDepth * kTileRows * kTileStride;
            for (Index r = 0; r < stripped; ++r) {
                float* target = step + r * kTileStride;
                const float* source = a.data + r * a.rowStep + first * a.columnStep;
                if (r >= rows)
                    std::fill_n(target, count, 0.0F);
                else if (a.columnStep == 1)
                    std::copy_n(source, count, target);
                else
                    for (Index k = 0; k < count; ++k) target[k] = source[k * a.columnStep];
            }
        }
    }

    /// block (rows x panel, kPanelColumns apart) += tile * panel of `depth` rows.
    void addProduct(const float* panel, Index rows, Index depth, Index columns, float* block) const {
        for (Index first = 0; first < depth; first += kStepDepth) {
            const Index count = std::min(kStepDepth, depth - first);
            const float* b = panel + first * kPanelColumns;
            if (transposed_)
                tileProduct<1, kTransposedStride, true>(memory_.get() + first * kTransposedStride, b, 0, rows, count,
                                                        columns, block, kPanelColumns);
            else
                tileProduct<kTileStride, 1, true>(memory_.get() + first / kStepDepth * kTileRows * kTileStride, b, 0,
                                                  rows, count, columns, block, kPanelColumns);
        }
    }

  private:
    bool transposed_;
    AlignedBuffer memory_;
};

/// Copies between the block of one panel, kPanelColumns apart, and y.
void loadBlock(const float* y, Index yStride, Index rows, Index columns, float* block) {
    for (Index r = 0; r < rows; ++r) std::copy_n(y + r * yStride, columns, block + r * kPanelColumns);
}
void storeBlock(const float* block, Index rows, Index columns, float* y, Index yStride) {
    for (Index r = 0; r < rows; ++r) std::copy_n(block + r * kPanelColumns, columns, y + r * yStride);
}

/// Sums of one pass over the depth for some rows; `first` starts from the bias instead of y.
void multiplyTile(const RowTile& tile, const float* panels, Index rows, Index depth, Index columns, const float* bias,
                  bool first, float* y, Index yStride) {
    alignas(64) float block[kTileRows * kPanelColumns] = {};
    for (Index column = 0; column < columns; column += kPanelColumns) {
        const Index count = std::min<Index>(kPanelColumns, columns - column);
        if (!first) {
            loadBlock(y + column, yStride, rows, count, block);
        } else {
            for (Index r = 0; r < rows; ++r)
                for (Index c = 0; c < count; ++c) block[r * kPanelColumns + c] = bias ? bias[column + c] : 0.0F;
        }
        tile.addProduct(panels + column * depth, rows, depth, count, block);
        storeBlock(block, rows, count, y + column, yStride);
    }
}

}  // namespace

void multiplyMatrices(const MatrixView& a, const MatrixView& b, const float* bias, Index rows, Index depth,
                      Index columns, float* y, Index yStride) {
    if (rows <= 0 || columns <= 0) return;
    if (depth <= 0) {
        for (Index r = 0; r < rows; ++r)
            for (Index c = 0; c < columns; ++c) y[r * yStride + c] = bias ? bias[c] : 0.0F;
        return;
    }
    const bool transposed = a.rowStep == 1 && a.columnStep != 1;
    const Index panelCount = (columns + kPanelColumns - 1) / kPanelColumns;
    const Index tileCount = (rows + kTileRows - 1) / kTileRows;
    const AlignedBuffer panels = alignedBuffer(packedSize(std::min(depth, kPassDepth), columns));
    const bool small = rows * depth * columns < 100000;  // not worth waking threads
#pragma omp parallel if (!small)
    {
        RowTile tile(transposed);
        for (Index first = 0; first < depth; first += kPassDepth) {
            const Index count = std::min(kPassDepth, depth - first);
#pragma omp for schedule(static)
            for (Index p = 0; p < panelCount; ++p) {
                const Index column = p * kPanelColumns;
                packPanels(b.data + first * b.rowStep + column * b.columnStep, b.rowStep, b.columnStep, count,
                           std::min<Index>(kPanelColumns, columns - column), panels.get() + column * count);
            }
#pragma omp for schedule(dynamic)
            for (Index t = 0; t < tileCount; ++t) {
                const Index row = t * kTileRows, height = std::min(kTileRows, rows - row);
                tile.fill({a.data + row * a.rowStep + first * a.columnStep, a.rowStep, a.columnStep}, height, count);
                multiplyTile(tile, panels.get(), height, count, columns, bias, first == 0, y + row * yStride, yStride);
            }
        }
    }
}

void sumRows(const MatrixView& a, Index rows, Index columns, float* sums) {
    constexpr Index kGroup = 64;
#pragma omp parallel for schedule(static) if (rows * columns > 100000)
    for (Index first = 0; first < columns; first += kGroup) {
        const Index count = std::min(kGroup, columns - first);
        float partial[kGroup] = {};
        for (Index r = 0; r < rows; ++r) {
            const float* row = a.data + r * a.rowStep + first * a.columnStep;
            for (Index c = 0; c < count; ++c) partial[c] += row[c * a.columnStep];
        }
        std::copy_n(partial, count, sums + first);
    }
}

}  // namespace medseg
