// How the processes of a training job share the batches of an epoch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace medseg {

/// Of a job of `shards` processes this one gets the shard-th part, as even as possible, of each batch of
/// batchSize * shards samples. A last batch of fewer samples than processes is left out.
struct BatchShare {
    int shard = 0;
    int shards = 1;
    std::int64_t batchSize = 1;  ///< of one process

    std::int64_t batches(std::int64_t samples, bool dropLast = false) const {
        const std::int64_t size = batchSize * shards;
        if (dropLast && samples >= size) return samples / size;
        return samples / size + (samples % size >= shards ? 1 : 0);
    }

    /// Places in the epoch, [first, last), that this process has in a batch.
    std::pair<std::int64_t, std::int64_t> places(std::int64_t batch, std::int64_t samples) const {
        const std::int64_t first = batch * batchSize * shards, filled = samplesOf(batch, samples);
        return {first + filled * shard / shards, first + filled * (shard + 1) / shards};
    }

    /// Samples of this process by the mean over processes: what its mean loss counts in the batch of all.
    double weight(std::int64_t batch, std::int64_t samples) const {
        const auto [first, last] = places(batch, samples);
        return static_cast<double>((last - first) * shards) / static_cast<double>(samplesOf(batch, samples));
    }

    /// This process's part of what is measured once, in order.
    template <typename T>
    std::vector<T> partOf(const std::vector<T>& all) const {
        const auto count = static_cast<std::ptrdiff_t>(all.size());
        return {all.begin() + count * shard / shards, all.begin() + count * (shard + 1) / shards};
    }

  private:
    std::int64_t samplesOf(std::int64_t batch, std::int64_t samples) const {
        return std::min(batchSize * shards, samples - batch * batchSize * shards);
    }
};

}  // namespace medseg
