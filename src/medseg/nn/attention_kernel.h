// Attention of float matrices on the CPU, free of torch: softmax(scale q k^T + bias) v without the matrix of all
// logits. Tiles of queries go over blocks of keys with a running maximum and sum (Milakov and Gimelshein 2018; Dao et
// al. 2022); the backward pass computes the probabilities again from the saved logarithms of the sums.
#pragma once

#include <cstddef>

namespace medseg {

/// Element (batch, head, row, c) is data[batch * batchStep + head * headStep + row * rowStep + c].
template <typename Float>
struct HeadView {
    Float* data = nullptr;
    std::ptrdiff_t batchStep = 0, headStep = 0, rowStep = 0;

    Float* head(std::ptrdiff_t batch, std::ptrdiff_t head) const { return data + batch * batchStep + head * headStep; }
};

/// What is added to the logits.
struct AttentionBias {
    /// Any bias: (batch, heads, n, m); steps of 0 repeat it. Unused when data is null.
    HeadView<const float> dense;
    std::ptrdiff_t denseColumnStep = 1;  ///< 0 or 1
    /// One term for the key's row and one for its column of a grid: (batch, heads, n, gridHeight) and (.., gridWidth).
    HeadView<const float> height, width;
    std::ptrdiff_t gridHeight = 0, gridWidth = 0;  ///< gridHeight * gridWidth = m, or both 0
};

struct AttentionShape {
    std::ptrdiff_t batch, heads;
    std::ptrdiff_t queries, keys;  ///< n and m, m > 0
    std::ptrdiff_t depth;          ///< of a head: 1 to kLargestHeadDepth
    float scale;
};
constexpr std::ptrdiff_t kLargestHeadDepth = 256;

/// `output`: as q. `logSums`, unless null: (batch, heads, n), contiguous; the logarithm of each row's sum of
/// exponentials, for the backward pass. The result does not depend on the number of threads.
void attentionForward(const AttentionShape& shape, const HeadView<const float>& q, const HeadView<const float>& k,
                      const HeadView<const float>& v, const AttentionBias& bias, const HeadView<float>& output,
                      float* logSums);

/// Where gradients go; all are overwritten. `dense`, `height` and `width` may have null data.
struct AttentionGradients {
    HeadView<float> q, k, v;
    HeadView<float> dense;  ///< (batch, heads, n, m)
    HeadView<float> height, width;
};

/// `outputGradient`: as output.
void attentionBackward(const AttentionShape& shape, const HeadView<const float>& q, const HeadView<const float>& k,
                       const HeadView<const float>& v, const AttentionBias& bias, const HeadView<const float>& output,
                       const float* logSums, const HeadView<const float>& outputGradient,
                       const AttentionGradients& gradients);

}  // namespace medseg
