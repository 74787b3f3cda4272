// Batches of patches, made by worker threads ahead of the network.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "medseg/dataset/batch_queue.h"
#include "medseg/dataset/batch_share.h"
#include "medseg/dataset/patch_sampler.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// N patches side by side.
struct PatchBatch {
    std::int64_t count = 0;
    Index3 size{};  ///< voxels along x, y, z
    int layers = 1;
    std::vector<float> images;            ///< (N, 1, z, y, x), 0..1
    std::vector<std::uint8_t> labels8;    ///< (N, layers, z, y, x), 0..n; used up to 255 labels
    std::vector<std::uint16_t> labels16;  ///< the same above 255 labels, else empty
    std::vector<PatchPlace> places;
    double share = 1;  ///< patches by the mean over shards
};

struct PatchLoaderSettings {
    Index3 size{96, 96, 96};  ///< voxels along x, y, z
    int batchSize = 2;
    int workers = 1;            ///< threads
    int prefetch = 4;           ///< finished batches that may wait, at least 1
    int shard = 0, shards = 1;  ///< see BatchShare
    std::uint64_t seed = 1;
    AugmentationSettings augmentation;  ///< nothing changes unless enabled
};

/// Iterates over patches, epoch by epoch, as SliceLoader does over slices: what the batches hold depends on seed and
/// epoch only, not on the number of workers.
class PatchLoader {
  public:
    /// The patches of an epoch, in order; the number must be the same for all epochs.
    using Plan = std::function<std::vector<PatchPlace>(std::uint64_t epoch)>;

    /// The cache must outlive the loader. Throws UsageError when the plan is empty or a setting is below 1.
    PatchLoader(const VolumeCache& cache, Plan plan, PatchLoaderSettings settings);

    std::int64_t batchesPerEpoch() const;
    /// Begins an epoch, at batch `firstBatch` (for exact resumption). A running epoch is abandoned.
    void startEpoch(std::uint64_t epoch, std::int64_t firstBatch = 0);
    /// The next batch, or nothing at the end of the epoch. Rethrows what a worker threw; throws InterruptedError after
    /// Ctrl-C.
    std::optional<PatchBatch> next() { return queue_.next(); }

    /// Seconds that next() waited for a batch since the loader was made.
    double waitedSeconds() const { return queue_.waitedSeconds(); }

  private:
    PatchBatch makeBatch(std::uint64_t epoch, std::int64_t firstPlace, std::vector<PatchPlace> places) const;
    BatchShare share() const { return {settings_.shard, settings_.shards, settings_.batchSize}; }

    const VolumeCache& cache_;
    Plan plan_;
    PatchLoaderSettings settings_;
    std::int64_t patches_ = 0;
    BatchQueue<PatchBatch> queue_;  ///< last: its threads stop before what they use goes away
};

}  // namespace medseg
