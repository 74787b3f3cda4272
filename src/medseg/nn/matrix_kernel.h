// Products of float matrices on the CPU, free of torch.
//
// Why not a library's: OpenBLAS misjudges newer processors (a fifth of their speed) and oneDNN's sums depend on the
// number of threads for some shapes. Here each element is one sum in the order of its terms, on any number of threads.
#pragma once

#include <cstddef>

namespace medseg {

/// Element (r, c) is data[r * rowStep + c * columnStep].
struct MatrixView {
    const float* data;
    std::ptrdiff_t rowStep;
    std::ptrdiff_t columnStep;
};

/// y = a b + bias, all threads. a: rows x depth; b: depth x columns; bias: one value a column, or null; y: rows x
/// columns with rows `yStride` apart, not overlapping the operands. Any step works; fast are operands with one step of
/// 1.
void multiplyMatrices(const MatrixView& a, const MatrixView& b, const float* bias, std::ptrdiff_t rows,
                      std::ptrdiff_t depth, std::ptrdiff_t columns, float* y, std::ptrdiff_t yStride);

/// sums[c] = sum over r of element (r, c), all threads.
void sumRows(const MatrixView& a, std::ptrdiff_t rows, std::ptrdiff_t columns, float* sums);

}  // namespace medseg
