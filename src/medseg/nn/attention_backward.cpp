#include "medseg/nn/attention_tile.h"

namespace medseg {
namespace {

using namespace attention;

/// The backward pass of one head after the other on one thread. With P the probabilities and G the gradient of the
/// output: dV = P' G, dP = G V', dS = P (dP - sum over the row of G output), dQ = scale dS K, dK = scale dS' Q.
class HeadBackward {
  public:
    HeadBackward(const AttentionShape& shape, const AttentionBias& bias, const AttentionGradients& gradients)
        : shape_(shape),
          gradients_(gradients),
          stride_(roundUp(shape.depth, FloatLanes::kCount)),
          keyRows_(roundUp(shape.keys, kBlockKeys) + kStripRows),
          bias_(bias),
          gridHeight_(bias.gridHeight),
          gridWidth_(bias.gridWidth),
          keyColumns_(alignedBuffer(packedSize(shape.depth, shape.keys))),
          keyPanels_(alignedBuffer(packedSize(shape.keys, shape.depth))),
          valueColumns_(alignedBuffer(packedSize(shape.depth, shape.keys))),
          queryPanels_(alignedBuffer(packedSize(kTileQueries, shape.depth))),
          outputPanels_(alignedBuffer(packedSize(kTileQueries, shape.depth))),
          queries_(alignedBuffer(kTileSize)),
          outputs_(alignedBuffer(kTileSize)),
          probabilities_(alignedBuffer(kTileSize)),
          logitGradients_(alignedBuffer(kTileSize)),
          queryGradient_(alignedBuffer(kTileQueries * stride_)),
          keyGradient_(alignedBuffer(keyRows_ * stride_)),
          valueGradient_(alignedBuffer(keyRows_ * stride_)) {
        std::fill_n(probabilities_.get(), kTileSize, 0.0F);
        std::fill_n(logitGradients_.get(), kTileSize, 0.0F);
    }

    void run(Index batch, Index head, const HeadView<const float>& q, const HeadView<const float>& k,
             const HeadView<const float>& v, const HeadView<const float>& output, const float* logSums,
             const HeadView<const float>& outputGradient) {
        packPanels(k.head(batch, head), 1, k.rowStep, shape_.depth, shape_.keys, keyColumns_.get());
        packPanels(k.head(batch, head), k.rowStep, 1, shape_.keys, shape_.depth, keyPanels_.get());
        packPanels(v.head(batch, head), 1, v.rowStep, shape_.depth, shape_.keys, valueColumns_.get());
        std::fill_n(keyGradient_.get(), keyRows_ * stride_, 0.0F);
        std::fill_n(valueGradient_.get(), keyRows_ * stride_, 0.0F);
        for (Index first = 0; first < shape_.queries; first += kTileQueries) {
            const Index queries = std::min(kTileQueries, shape_.queries - first);
            startTile(batch, head, first, queries, q, output, outputGradient);
            for (Index firstKey = 0; firstKey < shape_.keys; firstKey += kBlockKeys)
                runBlock(batch, head, first, queries, firstKey, logSums + first);
            store(queryGradient_.get(), queries, shape_.scale, gradients_.q.head(batch, head), gradients_.q.rowStep,
                  first);
        }
        store(keyGradient_.get(), shape_.keys, 1, gradients_.k.head(batch, head), gradients_.k.rowStep, 0);
        store(valueGradient_.get(), shape_.keys, 1, gradients_.v.head(batch, head), gradients_.v.rowStep, 0);
    }

  private:
    void startTile(Index batch, Index head, Index first, Index queries, const HeadView<const float>& q,
                   const HeadView<const float>& output, const HeadView<const float>& outputGradient) {
        fillTile(q.head(batch, head) + first * q.rowStep, q.rowStep, queries, shape_.depth, shape_.scale,
                 queries_.get());
        packPanels(queries_.get(), kTileStride, 1, queries, shape_.depth, queryPanels_.get());
        const float* gradient = outputGradient.head(batch, head) + first * outputGradient.rowStep;
        fillTile(gradient, outputGradient.rowStep, queries, shape_.depth, 1, outputs_.get());
        packPanels(outputs_.get(), kTileStride, 1, queries, shape_.depth, outputPanels_.get());
        const float* result = output.head(batch, head) + first * output.rowStep;
        for (Index r = 0; r < queries; ++r) {
            float sum = 0;
            for (Index c = 0; c < shape_.depth; ++c)
                sum += gradient[r * outputGradient.rowStep + c] * result[r * output.rowStep + c];
            rowSums_[r] = sum;
        }
        bias_.startTile(batch, head, first, queries);
        std::fill_n(queryGradient_.get(), kTileQueries * stride_, 0.0F);
        for (Index r = 0; r < queries && gradients_.height.data != nullptr; ++r) {
            std::fill_n(rowOf(gradients_.height, batch, head, first + r), gridHeight_, 0.0F);
            std::fill_n(rowOf(gradients_.width, batch, head, first + r), gridWidth_, 0.0F);
        }
    }

    void runBlock(Index batch, Index head, Index first, Index queries, Index firstKey, const float* logSums) {
        const Index count = std::min(kBlockKeys, shape_.keys - firstKey);
        const Index depth = shape_.depth;
        tileProduct<kTileStride, 1, false>(queries_.get(), keyColumns_.get() + firstKey * depth, depth, queries, depth,
                                           count, probabilities_.get(), kTileStride);
        tileProduct<kTileStride, 1, false>(outputs_.get(), valueColumns_.get() + firstKey * depth, depth, queries,
                                           depth, count, logitGradients_.get(), kTileStride);
        for (Index r = 0; r < queries; ++r) {
            gradientRow(r, firstKey, count, logSums[r]);
            addBiasGradient(batch, head, first + r, firstKey, count, logitGradients_.get() + r * kTileStride);
        }
        tileProduct<kTileStride, 1, true>(logitGradients_.get(), keyPanels_.get() + firstKey * kPanelColumns,
                                          shape_.keys, queries, count, depth, queryGradient_.get(), stride_);
        tileProduct<1, kTileStride, true>(logitGradients_.get(), queryPanels_.get(), queries, count, queries, depth,
                                          keyGradient_.get() + firstKey * stride_, stride_);
        tileProduct<1, kTileStride, true>(probabilities_.get(), outputPanels_.get(), queries, count, queries, depth,
                                          valueGradient_.get() + firstKey * stride_, stride_);
    }

    /// Logits of one row to probabilities, gradients of probabilities to gradients of logits; zero beyond the keys up
    /// to the end of the last strip, whose sums are thrown away.
    void gradientRow(Index r, Index firstKey, Index count, float logSum) {
        float* p = probabilities_.get() + r * kTileStride;
        float* g = logitGradients_.get() + r * kTileStride;
        bias_.add(r, firstKey, count, p);
        const FloatLanes shift = FloatLanes::of(logSum), mean = FloatLanes::of(rowSums_[r]);
        for (Index c = 0; c < count; c += FloatLanes::kCount) {
            const FloatLanes e = exponential(FloatLanes::load(p + c) - shift);
            e.store(p + c);
            (e * (FloatLanes::load(g + c) - mean)).store(g + c);
        }
        const Index end = std::max(roundUp(count, FloatLanes::kCount), roundUp(count, kStripRows));
        std::fill(p + count, p + end, 0.0F);
        std::fill(g + count, g + end, 0.0F);
    }

    void addBiasGradient(Index batch, Index head, Index query, Index firstKey, Index count, const float* g) {
        if (gradients_.dense.data != nullptr)
            std::copy_n(g, count, rowOf(gradients_.dense, batch, head, query) + firstKey);
        if (gradients_.height.data == nullptr) return;
        float* heights = rowOf(gradients_.height, batch, head, query);
        float* widths = rowOf(gradients_.width, batch, head, query);
        const Index end = firstKey + count;
        for (Index row = firstKey / gridWidth_; row * gridWidth_ < end; ++row) {
            const Index begin = std::max<Index>(0, firstKey - row * gridWidth_);
            const Index last = std::min(gridWidth_, end - row * gridWidth_);
            const float* source = g + row * gridWidth_ - firstKey;
            float sum = 0;
            for (Index c = begin; c < last; ++c) {
                widths[c] += source[c];
                sum += source[c];
            }
            heights[row] += sum;
        }
    }

    static float* rowOf(const HeadView<float>& view, Index batch, Index head, Index row) {
        return view.head(batch, head) + row * view.rowStep;
    }

    void store(const float* source, Index rows, float factor, float* target, Index rowStep, Index first) const {
        for (Index r = 0; r < rows; ++r)
            for (Index c = 0; c < shape_.depth; ++c)
                target[(first + r) * rowStep + c] = source[r * stride_ + c] * factor;
    }

    AttentionShape shape_;
    AttentionGradients gradients_;
    Index stride_;   ///< of gradients of queries, keys and values
    Index keyRows_;  ///< keys and room for the last strip
    BiasReader bias_;
    Index gridHeight_, gridWidth_;
    AlignedBuffer keyColumns_, keyPanels_, valueColumns_, queryPanels_, outputPanels_;
    AlignedBuffer queries_, outputs_, probabilities_, logitGradients_;
    AlignedBuffer queryGradient_, keyGradient_, valueGradient_;
    float rowSums_[kTileQueries];
};

}  // namespace

void attentionBackward(const AttentionShape& shape, const HeadView<const float>& q, const HeadView<const float>& k,
                       const HeadView<const float>& v, const AttentionBias& bias, const HeadView<const float>& output,
                       const float* logSums, const HeadView<const float>& outputGradient,
                       const AttentionGradients& gradients) {
    const Index heads = shape.batch * shape.heads;
    // One head is one task, so that the sums of keys and values have one order on any number of threads.
    const bool small = heads * shape.queries * shape.keys * shape.depth < 100000;
#pragma omp parallel if (!small)
    {
        HeadBackward backward(shape, bias, gradients);
#pragma omp for schedule(dynamic)
        for (Index i = 0; i < heads; ++i)
            backward.run(i / shape.heads, i % shape.heads, q, k, v, output, logSums + i * shape.queries,
                         outputGradient);
    }
}

}  // namespace medseg
