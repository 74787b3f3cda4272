#include "medseg/dataset/slice_loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/dataset/slice_sample.h"

namespace medseg {
namespace {

constexpr std::uint64_t kOrderStream = 0x0bde'0000'0000ULL, kSampleStream = 0x5a3f'0000'0000ULL;

/// Systematic resampling: each item is drawn floor or ceil of its expected number of times.
std::vector<std::int64_t> drawWeighted(const std::vector<std::int64_t>& items, const std::vector<double>& weights,
                                       Random& random) {
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0),
                 step = total / static_cast<double>(items.size());
    std::vector<std::int64_t> drawn;
    double mark = step * random.uniform(), reached = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
        reached += weights[i];
        for (; mark < reached && drawn.size() < items.size(); mark += step) drawn.push_back(items[i]);
    }
    while (drawn.size() < items.size()) drawn.push_back(items.back());
    return drawn;
}

}  // namespace

SliceLoader::SliceLoader(const SliceCache& cache, std::vector<std::int64_t> slices, LoaderSettings settings)
    : cache_(cache),
      slices_(std::move(slices)),
      settings_(std::move(settings)),
      queue_(settings_.workers, settings_.prefetch) {
    if (slices_.empty()) throw UsageError("there are no slices to load");
    if (settings_.batchSize < 1 || settings_.workers < 1)
        throw UsageError(fmt::format("batches of {} by {} threads: both must be at least 1", settings_.batchSize,
                                     settings_.workers));
    const auto& weights = settings_.weights;
    if (!weights.empty()) {
        const bool valid =
            std::all_of(weights.begin(), weights.end(), [](double w) { return w >= 0 && std::isfinite(w); });
        if (weights.size() != slices_.size() || !valid || std::accumulate(weights.begin(), weights.end(), 0.0) <= 0)
            throw UsageError(fmt::format("{} weights for {} slices: give one for each, not negative", weights.size(),
                                         slices_.size()));
    }
    if (settings_.shards < 1 || settings_.shard < 0 || settings_.shard >= settings_.shards)
        throw UsageError(fmt::format("shard {} of {} does not exist", settings_.shard, settings_.shards));
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} slices are too few for {} processes", slices_.size(), settings_.shards));
    if (settings_.neighbours > 0) requireAllSlices(cache_);
}

std::int64_t SliceLoader::batchesPerEpoch() const {
    return share().batches(static_cast<std::int64_t>(slices_.size()), settings_.dropLast);
}

std::vector<std::int64_t> SliceLoader::epochOrder(std::uint64_t epoch) const {
    Random random(settings_.seed, kOrderStream + epoch);
    std::vector<std::int64_t> order =
        settings_.weights.empty() ? slices_ : drawWeighted(slices_, settings_.weights, random);
    if (settings_.shuffle) random.shuffle(order);
    return order;
}

void SliceLoader::startEpoch(std::uint64_t epoch, std::int64_t firstBatch) {
    queue_.start(firstBatch, batchesPerEpoch(), [this, epoch, order = epochOrder(epoch)](std::int64_t index) {
        const auto count = static_cast<std::int64_t>(order.size());
        const auto [first, last] = share().places(index, count);
        SliceBatch batch = makeBatch(epoch, first, {order.begin() + first, order.begin() + last});
        batch.share = share().weight(index, count);
        return batch;
    });
}

void SliceLoader::copySample(std::int64_t slice, std::size_t place, SliceBatch& batch) const {
    const auto pixels = static_cast<std::size_t>(cache_.format().pixelCount()),
               layers = static_cast<std::size_t>(batch.layers);
    const std::vector<std::int64_t> channels = withNeighbours(cache_, slice, settings_.neighbours);
    for (std::size_t c = 0; c < channels.size(); ++c)
        cache_.copyImage(channels[c], batch.images.data() + (place * channels.size() + c) * pixels);
    for (std::size_t layer = 0; layer < layers; ++layer) {
        const auto bytes = cache_.labelBytes(slice, static_cast<int>(layer));
        const std::size_t first = (place * layers + layer) * pixels;
        if (bytes.empty()) continue;
        void* target = batch.labels16.empty() ? static_cast<void*>(batch.labels8.data() + first)
                                              : static_cast<void*>(batch.labels16.data() + first);
        std::memcpy(target, bytes.data(), bytes.size());
    }
}

SliceBatch SliceLoader::makeBatch(std::uint64_t epoch, std::int64_t firstPlace,
                                  const std::vector<std::int64_t>& members) const {
    const SliceFormat& format = cache_.format();
    SliceBatch batch{.count = static_cast<std::int64_t>(members.size()),
                     .height = format.height,
                     .width = format.width,
                     .channels = 2 * settings_.neighbours + 1,
                     .layers = cache_.layerCount(),
                     .images = {},
                     .labels8 = {},
                     .labels16 = {},
                     .slices = members};
    const auto pixels = static_cast<std::size_t>(format.pixelCount());
    const std::size_t imageValues = pixels * static_cast<std::size_t>(batch.channels);
    const std::size_t labelValues = pixels * static_cast<std::size_t>(batch.layers);
    batch.images.resize(members.size() * imageValues);
    if (format.labelBytes() == 1)
        batch.labels8.resize(members.size() * labelValues);
    else
        batch.labels16.resize(members.size() * labelValues);
    SliceSample sample;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (!settings_.change) {
            copySample(members[i], i, batch);
            continue;
        }
        loadSample(cache_, members[i], settings_.neighbours, sample);
        const auto place = static_cast<std::uint64_t>(firstPlace) + i;
        Random random(settings_.seed, kSampleStream + (epoch << 24) * 1000003ULL + place);
        settings_.change(sample, random);
        std::copy(sample.image.begin(), sample.image.end(), batch.images.data() + i * imageValues);
        if (format.labelBytes() == 1)
            std::transform(sample.labels.begin(), sample.labels.end(), batch.labels8.data() + i * labelValues,
                           [](std::uint16_t value) { return static_cast<std::uint8_t>(value); });
        else
            std::copy(sample.labels.begin(), sample.labels.end(), batch.labels16.data() + i * labelValues);
    }
    return batch;
}

std::vector<double> rarityWeights(const SliceCache& cache, const std::vector<std::int64_t>& slices, double strength,
                                  double most) {
    const std::size_t labels = cache.labels().size();
    std::vector<double> present(labels + 1, 0);
    for (const std::int64_t slice : slices) {
        const auto counts = cache.labelCounts(slice);
        for (std::size_t id = 1; id <= labels; ++id) present[id] += counts[id] > 0 ? 1 : 0;
    }
    // Compared with a structure that a tenth of the slices show; the square root tempers the extremes.
    const double common = 0.1 * static_cast<double>(slices.size());
    std::vector<double> weights;
    for (const std::int64_t slice : slices) {
        const auto counts = cache.labelCounts(slice);
        double rarest = 1;
        for (std::size_t id = 1; id <= labels; ++id)
            if (counts[id] > 0) rarest = std::max(rarest, std::sqrt(common / present[id]));
        weights.push_back(1 + strength * (std::min(rarest, most) - 1));
    }
    return weights;
}

}  // namespace medseg
