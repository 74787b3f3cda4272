#include "medseg/dataset/patch_loader.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/dataset/patch_augmentation.h"

namespace medseg {
namespace {

constexpr std::uint64_t kChangeStream = 0x7c3d'0000'0000ULL;

}  // namespace

PatchLoader::PatchLoader(const VolumeCache& cache, Plan plan, PatchLoaderSettings settings)
    : cache_(cache),
      plan_(std::move(plan)),
      settings_(std::move(settings)),
      patches_(static_cast<std::int64_t>(plan_(0).size())),
      queue_(settings_.workers, settings_.prefetch) {
    if (patches_ == 0) throw UsageError("there are no patches to load");
    if (settings_.batchSize < 1 || settings_.workers < 1)
        throw UsageError(fmt::format("batches of {} by {} threads: both must be at least 1", settings_.batchSize,
                                     settings_.workers));
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} patches are too few for {} processes", patches_, settings_.shards));
}

std::int64_t PatchLoader::batchesPerEpoch() const {
    return share().batches(patches_);
}

void PatchLoader::startEpoch(std::uint64_t epoch, std::int64_t firstBatch) {
    queue_.start(firstBatch, batchesPerEpoch(), [this, epoch, places = plan_(epoch)](std::int64_t index) {
        const auto [first, last] = share().places(index, patches_);
        PatchBatch batch = makeBatch(epoch, first, {places.begin() + first, places.begin() + last});
        batch.share = share().weight(index, patches_);
        return batch;
    });
}

PatchBatch PatchLoader::makeBatch(std::uint64_t epoch, std::int64_t firstPlace, std::vector<PatchPlace> places) const {
    const auto voxels = static_cast<std::size_t>(settings_.size[0] * settings_.size[1] * settings_.size[2]);
    const std::size_t count = places.size(), labels = voxels * static_cast<std::size_t>(cache_.layerCount());
    PatchBatch batch;
    batch.count = static_cast<std::int64_t>(count);
    batch.size = settings_.size;
    batch.layers = cache_.layerCount();
    batch.images.resize(count * voxels);
    const bool bytes = cache_.format().labelBytes() == 1;
    if (bytes)
        batch.labels8.resize(count * labels);
    else
        batch.labels16.resize(count * labels);
    PatchSample sample;
    for (std::size_t i = 0; i < count; ++i) {
        const auto number = static_cast<std::uint64_t>(firstPlace) + i;
        Random random(settings_.seed, kChangeStream + (epoch << 24) * 1000003ULL + number);
        readTrainingPatch(cache_, places[i], settings_.size, settings_.augmentation, random, sample);
        std::copy(sample.image.begin(), sample.image.end(), batch.images.data() + i * voxels);
        if (bytes)
            std::transform(sample.labels.begin(), sample.labels.end(), batch.labels8.data() + i * labels,
                           [](std::uint16_t value) { return static_cast<std::uint8_t>(value); });
        else
            std::copy(sample.labels.begin(), sample.labels.end(), batch.labels16.data() + i * labels);
    }
    batch.places = std::move(places);
    return batch;
}

}  // namespace medseg
