#include <cmath>

#include "medseg/nn/attention_tile.h"

namespace medseg {
namespace {

using namespace attention;

/// The keys and values of every head, packed.
struct PackedHeads {
    Index keySize, valueSize;
    AlignedBuffer keys, values;

    PackedHeads(const AttentionShape& shape, const HeadView<const float>& k, const HeadView<const float>& v)
        : keySize(packedSize(shape.depth, shape.keys)),
          valueSize(packedSize(shape.keys, shape.depth)),
          keys(alignedBuffer(shape.batch * shape.heads * keySize)),
          values(alignedBuffer(shape.batch * shape.heads * valueSize)) {
        const Index heads = shape.batch * shape.heads;
#pragma omp parallel for schedule(static) if (heads * shape.keys * shape.depth > 30000)
        for (Index i = 0; i < heads; ++i) {
            const Index batch = i / shape.heads, head = i % shape.heads;
            packPanels(k.head(batch, head), 1, k.rowStep, shape.depth, shape.keys, keys.get() + i * keySize);
            packPanels(v.head(batch, head), v.rowStep, 1, shape.keys, shape.depth, values.get() + i * valueSize);
        }
    }
};

/// One thread's tiles.
class ForwardTile {
  public:
    ForwardTile(const AttentionShape& shape, const AttentionBias& bias)
        : shape_(shape),
          valueStride_(roundUp(shape.depth, FloatLanes::kCount)),
          bias_(bias),
          queries_(alignedBuffer(kTileSize)),
          logits_(alignedBuffer(kTileSize)),
          sums_(alignedBuffer(kTileQueries * valueStride_)) {}

    void run(Index batch, Index head, Index firstQuery, const HeadView<const float>& q, const float* keys,
             const float* values, const HeadView<float>& output, float* logSums) {
        const Index queries = std::min(kTileQueries, shape_.queries - firstQuery);
        const float* source = q.head(batch, head) + firstQuery * q.rowStep;
        fillTile(source, q.rowStep, queries, shape_.depth, shape_.scale, queries_.get());
        bias_.startTile(batch, head, firstQuery, queries);
        std::fill_n(maxima_, kTileQueries, kLowest);
        std::fill_n(totals_, kTileQueries, 0.0F);
        std::fill_n(sums_.get(), kTileQueries * valueStride_, 0.0F);
        for (Index firstKey = 0; firstKey < shape_.keys; firstKey += kBlockKeys) {
            const Index count = std::min(kBlockKeys, shape_.keys - firstKey);
            tileProduct<kTileStride, 1, false>(queries_.get(), keys + firstKey * shape_.depth, shape_.depth, queries,
                                               shape_.depth, count, logits_.get(), kTileStride);
            for (Index r = 0; r < queries; ++r) softmaxRow(r, firstKey, count);
            tileProduct<kTileStride, 1, true>(logits_.get(), values + firstKey * kPanelColumns, shape_.keys, queries,
                                              count, shape_.depth, sums_.get(), valueStride_);
        }
        float* target = output.head(batch, head) + firstQuery * output.rowStep;
        for (Index r = 0; r < queries; ++r) {
            const float factor = 1.0F / totals_[r];
            for (Index c = 0; c < shape_.depth; ++c)
                target[r * output.rowStep + c] = sums_[r * valueStride_ + c] * factor;
            if (logSums != nullptr) logSums[r] = maxima_[r] + std::log(totals_[r]);
        }
    }

  private:
    /// Logits of one row to exponentials below the running maximum, to which earlier sums are brought.
    void softmaxRow(Index r, Index firstKey, Index count) {
        float* row = logits_.get() + r * kTileStride;
        bias_.add(r, firstKey, count, row);
        const Index padded = roundUp(count, FloatLanes::kCount);
        std::fill(row + count, row + padded, kLowest);
        FloatLanes highest = FloatLanes::of(maxima_[r]);
        for (Index c = 0; c < padded; c += FloatLanes::kCount)
            highest = FloatLanes::max(highest, FloatLanes::load(row + c));
        const float maximum = highest.maximum();
        const FloatLanes shift = FloatLanes::of(maximum);
        FloatLanes total = FloatLanes::of(0);
        for (Index c = 0; c < padded; c += FloatLanes::kCount) {
            const FloatLanes e = exponential(FloatLanes::load(row + c) - shift);
            e.store(row + c);
            total = total + e;
        }
        if (maximum != maxima_[r]) {
            const float factor = std::exp(maxima_[r] - maximum);
            totals_[r] *= factor;
            float* sums = sums_.get() + r * valueStride_;
            for (Index c = 0; c < valueStride_; ++c) sums[c] *= factor;
            maxima_[r] = maximum;
        }
        totals_[r] += total.sum();
    }

    AttentionShape shape_;
    Index valueStride_;
    BiasReader bias_;
    AlignedBuffer queries_, logits_, sums_;
    float maxima_[kTileQueries], totals_[kTileQueries];
};

}  // namespace

void attentionForward(const AttentionShape& shape, const HeadView<const float>& q, const HeadView<const float>& k,
                      const HeadView<const float>& v, const AttentionBias& bias, const HeadView<float>& output,
                      float* logSums) {
    const PackedHeads packed(shape, k, v);
    const Index tilesOfHead = (shape.queries + kTileQueries - 1) / kTileQueries;
    const Index tiles = shape.batch * shape.heads * tilesOfHead;
    const bool small = shape.batch * shape.heads * shape.queries * shape.keys * shape.depth < 100000;
#pragma omp parallel if (!small)
    {
        ForwardTile tile(shape, bias);
#pragma omp for schedule(dynamic)
        for (Index t = 0; t < tiles; ++t) {
            const Index i = t / tilesOfHead, first = t % tilesOfHead * kTileQueries;
            tile.run(i / shape.heads, i % shape.heads, first, q, packed.keys.get() + i * packed.keySize,
                     packed.values.get() + i * packed.valueSize, output,
                     logSums != nullptr ? logSums + i * shape.queries + first : nullptr);
        }
    }
}

}  // namespace medseg
