#include "medseg/train/slice_data.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/augmentation.h"
#include "medseg/report/slice_overlay.h"
#include "medseg/train/slice_tensors.h"

namespace medseg {
namespace {

LoaderSettings loaderSettings(const Recipe& recipe, bool training) {
    LoaderSettings settings;
    settings.neighbours = recipe.model.neighbours;
    settings.batchSize = recipe.train.batchSize;
    settings.workers = recipe.train.workers;
    settings.shuffle = training;
    settings.seed = recipe.seed;
    return settings;
}

}  // namespace

SliceData::SliceData(const TrainRequest& request)
    : recipe_(request.recipe), cache_(request.cache), split_(splitSlices(cache_, recipe_.data, recipe_.seed)) {
    openLoaders(0, 1);
}

void SliceData::openLoaders(int shard, int shards) {
    LoaderSettings settings = loaderSettings(recipe_, true);
    settings.shard = shard;
    settings.shards = shards;
    settings.weights = recipe_.train.oversample > 0 ? rarityWeights(cache_, split_.training, recipe_.train.oversample)
                                                    : std::vector<double>();
    if (recipe_.augmentation.enabled)
        settings.change = [augmentation = recipe_.augmentation](SliceSample& sample, Random& random) {
            augment(sample, augmentation, random);
        };
    trainLoader_ = std::make_unique<SliceLoader>(cache_, split_.training, settings);
    const auto validated = BatchShare{shard, shards}.partOf(split_.validation);
    validationLoader_.reset();
    if (!validated.empty())
        validationLoader_ = std::make_unique<SliceLoader>(cache_, validated, loaderSettings(recipe_, false));
}

void SliceData::requireDivisible(int divisor) const {
    const SliceFormat& format = cache_.format();
    if (format.height % divisor != 0 || format.width % divisor != 0)
        throw UsageError(fmt::format("prepare.image_size {}x{} must be divisible by {} for {} encoder levels",
                                     format.height, format.width, divisor, recipe_.model.features.size()));
}

void SliceData::writeSplit(const fs::path& file) const {
    medseg::writeSplit(file, split_, cache_);
}

void SliceData::startEpoch(std::uint64_t epoch, std::int64_t firstBatch) {
    trainLoader_->startEpoch(epoch, firstBatch);
}

SegmentationBatch SliceData::toTensors(SliceBatch batch) const {
    const auto memory = std::make_shared<SliceBatch>(std::move(batch));
    const auto labels = labelTensor(*memory);
    // The same values, which now own the batch.
    return {imageTensor(*memory, cache_, recipe_.model.coordinates),
            torch::from_blob(
                labels.data_ptr(), labels.sizes(), [memory](void*) {}, labels.options()),
            memory->count, memory->share};
}

SegmentationBatch SliceData::nextTraining() {
    auto batch = trainLoader_->next();
    if (!batch) throw WorkError("the slice loader ended before the epoch did");
    return toTensors(std::move(*batch));
}

void SliceData::startValidation() {
    if (validationLoader_) validationLoader_->startEpoch(0);
}

std::optional<SegmentationBatch> SliceData::nextValidation() {
    auto batch = validationLoader_ ? validationLoader_->next() : std::nullopt;
    if (!batch) return std::nullopt;
    return toTensors(std::move(*batch));
}

void SliceData::drawSamples(const Predictor& predict, const fs::path& file) {
    constexpr int kSamples = 4;
    constexpr double kPanelSize = 250;
    if (split_.validation.empty()) return;
    LoaderSettings settings = loaderSettings(recipe_, false);
    settings.batchSize = 1;
    SliceLoader loader(cache_, richSlices(cache_, split_.validation, kSamples), settings);
    loader.startEpoch(0);
    std::vector<OverlayRow> rows;
    while (auto batch = loader.next()) {
        const std::int64_t slice = batch->slices[0];
        const SegmentationBatch tensors = toTensors(std::move(*batch));
        const auto predicted = predict(tensors.images);
        const auto reference = tensors.labels.select(1, 0).to(torch::kShort).contiguous();
        const auto image = tensors.images.select(1, recipe_.model.neighbours).contiguous();
        const auto pixels = static_cast<std::size_t>(cache_.format().pixelCount());
        const auto asIds = [&](const torch::Tensor& ids) {
            return std::span(reinterpret_cast<const std::uint16_t*>(ids.data_ptr<std::int16_t>()), pixels);
        };
        rows.push_back(renderSlice(
            cache_, slice,
            {std::span(static_cast<const float*>(image.data_ptr<float>()), pixels), asIds(reference), asIds(predicted)},
            kPanelSize));
    }
    createDirectories(file.parent_path());
    composeOverlays(rows, "Validation slices: " + file.stem().string()).writePng(file);
}

}  // namespace medseg
