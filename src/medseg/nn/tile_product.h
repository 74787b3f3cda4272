// Small matrix products in registers, the pieces that attention is made of.
//
// A strip of kStripRows rows of A times a panel of kPanelColumns columns of B is one step. B is packed into panels; A
// is read in place from a tile whose strides the compiler knows. Sums run over the depth in order, so that results
// depend on nothing but the operands.
#pragma once

#include <algorithm>
#include <cstddef>

#include "medseg/nn/float_lanes.h"

namespace medseg {

/// Columns of a packed panel: two registers.
constexpr int kPanelColumns = 2 * FloatLanes::kCount;
/// Rows that are summed at once: with two registers a row, one broadcast and two of B in the registers there are.
constexpr int kStripRows = FloatLanes::kRegisters == 32 ? 14 : 6;
/// Floats between rows of a tile: an odd number of cache lines, so that rows do not evict each other.
constexpr std::ptrdiff_t kTileStride = 272;

constexpr std::ptrdiff_t roundUp(std::ptrdiff_t n, std::ptrdiff_t step) {
    return (n + step - 1) / step * step;
}

/// Floats that packing `depth` x `columns` takes.
constexpr std::ptrdiff_t packedSize(std::ptrdiff_t depth, std::ptrdiff_t columns) {
    return depth * roundUp(columns, kPanelColumns);
}

/// Columns [0, 16 n) of a panel whose source has its depth side by side: whole squares are transposed in registers.
/// Returns the depth that is done.
template <typename Lanes = FloatLanes>
std::ptrdiff_t packSquares(const float* panel, std::ptrdiff_t columnStep, std::ptrdiff_t depth, std::ptrdiff_t columns,
                           float* target) {
    if constexpr (Lanes::kTransposes) {
        constexpr int side = Lanes::kCount;
        const std::ptrdiff_t done = depth / side * side;
        for (std::ptrdiff_t k = 0; k < done; k += side)
            for (std::ptrdiff_t c = 0; c < columns; c += side) {
                Lanes square[side];
#pragma GCC unroll 16
                for (int i = 0; i < side; ++i) square[i] = Lanes::load(panel + (c + i) * columnStep + k);
                Lanes::transpose(square);
#pragma GCC unroll 16
                for (int i = 0; i < side; ++i) square[i].store(target + (k + i) * kPanelColumns + c);
            }
        return done;
    }
    return 0;
}

/// Packs B for tileProduct(): element (k, c) of `depth` x `columns` is source[k * depthStep + c * columnStep]. Missing
/// columns of the last panel become zero.
inline void packPanels(const float* source, std::ptrdiff_t depthStep, std::ptrdiff_t columnStep, std::ptrdiff_t depth,
                       std::ptrdiff_t columns, float* target) {
    for (std::ptrdiff_t first = 0; first < columns; first += kPanelColumns) {
        const std::ptrdiff_t count = std::min<std::ptrdiff_t>(kPanelColumns, columns - first);
        const float* panel = source + first * columnStep;
        std::ptrdiff_t done = 0;
        if (depthStep == 1 && count == kPanelColumns) done = packSquares(panel, columnStep, depth, count, target);
        target += done * kPanelColumns;
        for (std::ptrdiff_t k = done; k < depth; ++k, target += kPanelColumns) {
            for (std::ptrdiff_t c = 0; c < count; ++c) target[c] = panel[k * depthStep + c * columnStep];
            std::fill(target + count, target + kPanelColumns, 0.0F);
        }
    }
}

/// One strip times one panel: c (kStripRows x Registers registers) = or += A B. Element (r, k) of A is
/// a[r * RowStep + k * DepthStep].
template <int Registers, int RowStep, int DepthStep, bool Accumulate>
[[gnu::always_inline]] inline void stripProduct(const float* a, const float* b, std::ptrdiff_t depth, float* c,
                                                std::ptrdiff_t cStride) {
    FloatLanes sums[kStripRows][Registers];
#pragma GCC unroll 16
    for (int r = 0; r < kStripRows; ++r)
#pragma GCC unroll 2
        for (int i = 0; i < Registers; ++i)
            sums[r][i] = Accumulate ? FloatLanes::load(c + r * cStride + i * FloatLanes::kCount) : FloatLanes::of(0.0F);
    for (std::ptrdiff_t k = 0; k < depth; ++k) {
        FloatLanes row[Registers];
#pragma GCC unroll 2
        for (int i = 0; i < Registers; ++i) row[i] = FloatLanes::load(b + i * FloatLanes::kCount);
#pragma GCC unroll 16
        for (int r = 0; r < kStripRows; ++r) {
            const FloatLanes x = FloatLanes::of(a[r * RowStep]);
#pragma GCC unroll 2
            for (int i = 0; i < Registers; ++i) sums[r][i] = FloatLanes::fma(x, row[i], sums[r][i]);
        }
        a += DepthStep;
        b += kPanelColumns;
    }
#pragma GCC unroll 16
    for (int r = 0; r < kStripRows; ++r)
#pragma GCC unroll 2
        for (int i = 0; i < Registers; ++i) sums[r][i].store(c + r * cStride + i * FloatLanes::kCount);
}

/// C = or += A B over the whole depth of a tile. A has `rows` rows, rounded up to strips in memory, with the steps of
/// stripProduct(); `panels` holds B, `panelDepth` deep a panel, of which the first `depth` rows count; C gets rows up
/// to the next multiple of kStripRows and columns up to the next multiple of FloatLanes::kCount.
template <int RowStep, int DepthStep, bool Accumulate>
inline void tileProduct(const float* a, const float* panels, std::ptrdiff_t panelDepth, std::ptrdiff_t rows,
                        std::ptrdiff_t depth, std::ptrdiff_t columns, float* c, std::ptrdiff_t cStride) {
    for (std::ptrdiff_t column = 0; column < columns; column += kPanelColumns) {
        const float* b = panels + column * panelDepth;
        for (std::ptrdiff_t row = 0; row < rows; row += kStripRows) {
            float* target = c + row * cStride + column;
            if (columns - column > FloatLanes::kCount)
                stripProduct<2, RowStep, DepthStep, Accumulate>(a + row * RowStep, b, depth, target, cStride);
            else
                stripProduct<1, RowStep, DepthStep, Accumulate>(a + row * RowStep, b, depth, target, cStride);
        }
    }
}

}  // namespace medseg
