#include "medseg/train/patch_data.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/nn/coordinates.h"
#include "medseg/report/patch_overlay.h"

namespace medseg {
namespace {

std::vector<std::int64_t> indexesOf(const VolumeCache& cache, const std::vector<std::string>& ids) {
    std::vector<std::int64_t> indexes;
    for (const std::string& id : ids) indexes.push_back(cache.findCase(id));
    return indexes;
}

void requireVolumeSettings(const Recipe& recipe) {
    if (recipe.data.split == "slice" || recipe.data.holdOutEvery > 1)
        throw UsageError(
            "model.dimensions 3 trains on whole cases: data.split slice and data.hold_out_every are for "
            "slices");
    if (recipe.model.neighbours > 0)
        throw UsageError(
            "model.neighbours is for slices: a network with model.dimensions 3 sees its neighbours anyway");
    if (recipe.train.oversample > 0)
        throw UsageError("train.oversample is for slices: with model.dimensions 3 use train.foreground");
}

void requireSamePreparation(const PrepareSettings& settings, const VolumeCache& cache) {
    const VolumeFormat& format = cache.format();
    if (settings.spacing != format.spacing || settings.window != format.window)
        throw DataError(cache.directory().string(),
                        fmt::format("was prepared with spacing [{}] and window [{}], the recipe says [{}] and [{}]: "
                                    "prepare again",
                                    fmt::join(format.spacing, ", "), fmt::join(format.window, ", "),
                                    fmt::join(settings.spacing, ", "), fmt::join(settings.window, ", ")));
}

}  // namespace

PatchData::PatchData(const TrainRequest& request)
    : recipe_(request.recipe), cache_(request.cache), split_(splitCases(cache_.caseIds(), recipe_.data, recipe_.seed)) {
    requireVolumeSettings(recipe_);
    requireSamePreparation(recipe_.prepare, cache_);
    std::copy(recipe_.model.patchSize.begin(), recipe_.model.patchSize.end(), patch_.begin());
    trainCases_ = indexesOf(cache_, split_.training);
    validationCases_ = indexesOf(cache_, split_.validation);
    openLoaders(0, 1);
}

void PatchData::openLoaders(int shard, int shards) {
    PatchLoaderSettings settings = loaderSettings();
    settings.augmentation = recipe_.augmentation;
    settings.shard = shard;
    settings.shards = shards;
    const PatchSampling sampling{patch_, recipe_.train.patchesPerCase, recipe_.train.foreground, recipe_.seed};
    trainLoader_ = std::make_unique<PatchLoader>(
        cache_, [this, sampling](std::uint64_t epoch) { return drawPatches(cache_, trainCases_, sampling, epoch); },
        settings);
    const auto validated = BatchShare{shard, shards}.partOf(tilePatches(cache_, validationCases_, patch_));
    validationLoader_.reset();
    if (!validated.empty())
        validationLoader_ = std::make_unique<PatchLoader>(
            cache_, [validated](std::uint64_t) { return validated; }, loaderSettings());
}

PatchLoaderSettings PatchData::loaderSettings() const {
    PatchLoaderSettings settings;
    settings.size = patch_;
    settings.batchSize = recipe_.train.batchSize;
    settings.workers = recipe_.train.workers;
    settings.seed = recipe_.seed;
    return settings;
}

StructureStatistics PatchData::statistics() const {
    StructureStatistics statistics;
    statistics.pixels.assign(cache_.labels().size() + 1, 0.0);
    statistics.slices = statistics.pixels;
    statistics.sliceCount = static_cast<double>(trainCases_.size());
    for (const std::int64_t index : trainCases_) {
        const CachedVolume& item = cache_.caseAt(index);
        statistics.pixelCount += static_cast<double>(item.grid.voxelCount());
        for (std::size_t id = 0; id < statistics.pixels.size(); ++id) {
            statistics.pixels[id] += static_cast<double>(item.voxels[id]);
            statistics.slices[id] += item.voxels[id] > 0 ? 1 : 0;
        }
    }
    return statistics;
}

void PatchData::requireDivisible(int divisor) const {
    if (std::any_of(patch_.begin(), patch_.end(), [=](std::int64_t side) { return side % divisor != 0; }))
        throw UsageError(fmt::format("model.patch_size {} must be divisible by {} for {} encoder levels",
                                     formatSize(patch_), divisor, recipe_.model.features.size()));
}

void PatchData::writeSplit(const fs::path& file) const {
    writeCaseSplit(file, split_);
}

void PatchData::startEpoch(std::uint64_t epoch, std::int64_t firstBatch) {
    trainLoader_->startEpoch(epoch, firstBatch);
}

SegmentationBatch PatchData::toTensors(PatchBatch batch) const {
    const auto memory = std::make_shared<PatchBatch>(std::move(batch));
    const Index3& size = memory->size;
    std::vector<VolumePart> parts;
    for (const PatchPlace& place : memory->places)
        parts.push_back({place.start, cache_.caseAt(place.volume).grid.size()});
    // A copy: the first layer needs its input again in the backward pass, when the batch is gone.
    const auto images = torch::from_blob(memory->images.data(), {memory->count, 1, size[2], size[1], size[0]}).clone();
    const bool wide = !memory->labels16.empty();
    void* labels = wide ? static_cast<void*>(memory->labels16.data()) : static_cast<void*>(memory->labels8.data());
    return {appendVolumeCoordinates(images, recipe_.model.coordinates, parts),
            torch::from_blob(
                labels, {memory->count, memory->layers, size[2], size[1], size[0]}, [memory](void*) {},
                wide ? torch::kInt16 : torch::kUInt8),
            memory->count, memory->share};
}

SegmentationBatch PatchData::nextTraining() {
    auto batch = trainLoader_->next();
    if (!batch) throw WorkError("the patch loader ended before the epoch did");
    return toTensors(std::move(*batch));
}

void PatchData::startValidation() {
    if (validationLoader_) validationLoader_->startEpoch(0);
}

std::optional<SegmentationBatch> PatchData::nextValidation() {
    auto batch = validationLoader_ ? validationLoader_->next() : std::nullopt;
    if (!batch) return std::nullopt;
    return toTensors(std::move(*batch));
}

void PatchData::drawSamples(const Predictor& predict, const fs::path& file) {
    constexpr int kSamples = 4;
    constexpr double kPanelSize = 250;
    if (validationCases_.empty()) return;
    PatchLoaderSettings settings = loaderSettings();
    settings.batchSize = 1;
    const PatchSampling sampling{patch_, kSamples, 1, recipe_.seed};
    const auto cases =
        std::vector(validationCases_.begin(),
                    validationCases_.begin() + std::min<std::ptrdiff_t>(kSamples, std::ssize(validationCases_)));
    PatchLoader loader(
        cache_, [&](std::uint64_t epoch) { return drawPatches(cache_, cases, sampling, epoch); }, settings);
    loader.startEpoch(0);
    std::vector<OverlayRow> rows;
    const std::int64_t pixels = patch_[0] * patch_[1];
    while (rows.size() < kSamples) {
        auto batch = loader.next();
        if (!batch) break;
        const PatchPlace place = batch->places[0];
        const SegmentationBatch tensors = toTensors(std::move(*batch));
        const auto reference = tensors.labels[0][0].to(torch::kShort).contiguous();
        const auto image = tensors.images[0][0].contiguous(), predicted = predict(tensors.images)[0].contiguous();
        // The plane with the most labelled voxels.
        const auto z = reference.ne(0).sum({1, 2}).argmax().item<std::int64_t>();
        const auto idsOf = [&](const torch::Tensor& ids) {
            const auto* first = reinterpret_cast<const std::uint16_t*>(ids.data_ptr<std::int16_t>()) + z * pixels;
            return std::span(first, static_cast<std::size_t>(pixels));
        };
        const PatchPlane plane{{image.data_ptr<float>() + z * pixels, static_cast<std::size_t>(pixels)},
                               idsOf(reference),
                               idsOf(predicted)};
        rows.push_back(renderPatchPlane(cache_, place, patch_, z, plane, kPanelSize));
    }
    createDirectories(file.parent_path());
    composeOverlays(rows, "Validation patches: " + file.stem().string()).writePng(file);
}

}  // namespace medseg
