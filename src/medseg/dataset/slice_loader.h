// Batches of training slices, made by worker threads ahead of the network.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/dataset/augmentation.h"
#include "medseg/dataset/batch_queue.h"
#include "medseg/dataset/batch_share.h"
#include "medseg/dataset/slice_cache.h"

namespace medseg {

/// N slices side by side.
struct SliceBatch {
    std::int64_t count = 0, height = 0, width = 0;
    int channels = 1;
    int layers = 1;
    std::vector<float> images;            ///< (N, channels, height, width), 0..1
    std::vector<std::uint8_t> labels8;    ///< (N, layers, height, width), 0..n; used up to 255 labels
    std::vector<std::uint16_t> labels16;  ///< the same above 255 labels, else empty
    std::vector<std::int64_t> slices;     ///< numbers in the SliceCache
    double share = 1;                     ///< slices by the mean over shards
};

struct LoaderSettings {
    int batchSize = 8;
    int neighbours = 0;  ///< slices before and after each one, as further channels (2.5D); needs all slices cached
    int workers = 1;     ///< threads
    int prefetch = 4;    ///< finished batches that may wait, at least 1
    bool shuffle = true;
    bool dropLast = false;      ///< leave out a last batch that is not full
    int shard = 0, shards = 1;  ///< see BatchShare
    std::uint64_t seed = 1;
    std::vector<double> weights;  ///< chance of each slice of the list, any scale; empty: each slice once an epoch
    /// Changes one sample; `random` is the sample's own stream, from (seed, epoch, place in the epoch).
    std::function<void(SliceSample& sample, Random& random)> change;
};

/// Iterates over a list of slices, epoch by epoch:
///     loader.startEpoch(3);
///     while (auto batch = loader.next()) ...
/// The order and the content of the batches depend on seed and epoch only, not on the number of workers; those of all
/// shards together are the batches of one process with the larger batch size.
class SliceLoader {
  public:
    /// `slices` are numbers of the cache, which must outlive the loader. Throws UsageError when there are none, or the
    /// weights do not fit them.
    SliceLoader(const SliceCache& cache, std::vector<std::int64_t> slices, LoaderSettings settings);
    std::int64_t batchesPerEpoch() const;
    /// Begins an epoch, at batch `firstBatch` (for exact resumption). A running epoch is abandoned.
    void startEpoch(std::uint64_t epoch, std::int64_t firstBatch = 0);
    /// The next batch, or nothing at the end of the epoch. Rethrows what a worker threw; throws InterruptedError after
    /// Ctrl-C.
    std::optional<SliceBatch> next() { return queue_.next(); }

    /// Seconds that next() waited for a batch since the loader was made, and seconds since the first startEpoch().
    double waitedSeconds() const { return queue_.waitedSeconds(); }
    double elapsedSeconds() const { return queue_.elapsedSeconds(); }
    /// Share of the time that the consumer waited: 0 when loading never holds the network up.
    double idleShare() const { return queue_.idleShare(); }

  private:
    SliceBatch makeBatch(std::uint64_t epoch, std::int64_t firstPlace, const std::vector<std::int64_t>& members) const;
    BatchShare share() const { return {settings_.shard, settings_.shards, settings_.batchSize}; }
    void copySample(std::int64_t slice, std::size_t place, SliceBatch& batch) const;
    std::vector<std::int64_t> epochOrder(std::uint64_t epoch) const;

    const SliceCache& cache_;
    std::vector<std::int64_t> slices_;
    LoaderSettings settings_;
    BatchQueue<SliceBatch> queue_;  ///< last: its threads stop before what they use goes away
};

/// Weights that show slices with rare structures more often: 1 for a slice of frequent structures, up to `most` for the
/// rarest; `strength` 0 gives equal weights. A structure's rarity is the share of the listed slices that lack it.
std::vector<double> rarityWeights(const SliceCache& cache, const std::vector<std::int64_t>& slices, double strength,
                                  double most = 4);

}  // namespace medseg
