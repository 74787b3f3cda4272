#include "medseg/train/segmentation_task.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/augmentation.h"
#include "medseg/dataset/split.h"
#include "medseg/nn/device.h"
#include "medseg/report/slice_overlay.h"
#include "medseg/train/loss_settings.h"
#include "medseg/train/slice_tensors.h"

namespace medseg {
namespace {

constexpr double kOverlapThreshold = 0.5;

LoaderSettings loaderSettings(const Recipe& recipe, bool training) {
    LoaderSettings settings;
    settings.neighbours = recipe.model.neighbours;
    settings.batchSize = recipe.train.batchSize;
    settings.workers = recipe.train.workers;
    settings.shuffle = training;
    settings.seed = recipe.seed;
    return settings;
}

/// Nearest labels of every `step`-th pixel along both axes.
torch::Tensor everyPixel(const torch::Tensor& labels, std::int64_t step) {
    using torch::indexing::None;
    const torch::indexing::Slice stride(None, None, step);
    return labels.index({torch::indexing::Ellipsis, stride, stride}).contiguous();
}

/// Label ids (int16, bit pattern unsigned) on the CPU: the strongest structure where it is predicted at all.
torch::Tensor strongestLabels(const torch::Tensor& logits, OutputKind output) {
    const auto [value, channel] = logits.max(1);
    const auto ids = output == OutputKind::Softmax ? channel : (channel + 1) * value.ge(0);
    return ids.to(torch::kCPU, torch::kShort).contiguous();
}

void writeLabelMapJson(const fs::path& file, const LabelTable& labels) {
    nlohmann::ordered_json map;
    for (const Label& label : labels.labels()) map[label.name] = label.id - 1;
    writeTextFile(file, map.dump(2) + "\n");
}

}  // namespace

SegmentationTask::SegmentationTask(const TrainRequest& request)
    : recipe_(request.recipe),
      cache_(request.cache),
      device_(deviceFromName(recipe_.device)),
      output_(outputKindOf(recipe_.model)),
      precision_(precisionFromName(recipe_.train.precision, device_)),
      loss_(lossOptions(recipe_, cache_.labels())) {
    const SliceSplit split = splitSlices(cache_, recipe_.data, recipe_.seed);
    trainSlices_ = split.training;
    validationSlices_ = split.validation;
    if (output_ == OutputKind::Softmax && cache_.layerCount() > 1)
        throw UsageError("model.output softmax needs structures that do not overlap; these do: use sigmoid");
    const StructureStatistics statistics = structureStatistics(cache_, trainSlices_);
    warnOfAbsentStructures(statistics, cache_.labels());
    loss_.classWeights = classWeights(recipe_.train, cache_.labels(), statistics, output_);
    network_ = buildUNet(recipe_.model, static_cast<int>(cache_.labels().size()));
    const SliceFormat& format = cache_.format();
    if (format.height % network_->divisor() != 0 || format.width % network_->divisor() != 0)
        throw UsageError(fmt::format("prepare.image_size {}x{} must be divisible by {} for {} encoder levels",
                                     format.height, format.width, network_->divisor(), recipe_.model.features.size()));
    if (recipe_.model.priorBias) initialisePriorBias(statistics);
    network_->to(device_);
    for (auto& parameter : network_->parameters())
        if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));

    LoaderSettings settings = loaderSettings(recipe_, true);
    settings.weights = recipe_.train.oversample > 0 ? rarityWeights(cache_, trainSlices_, recipe_.train.oversample)
                                                    : std::vector<double>();
    if (recipe_.augmentation.enabled)
        settings.change = [augmentation = recipe_.augmentation](SliceSample& sample, Random& random) {
            augment(sample, augmentation, random);
        };
    trainLoader_ = std::make_unique<SliceLoader>(cache_, trainSlices_, settings);
    if (!validationSlices_.empty())
        validationLoader_ = std::make_unique<SliceLoader>(cache_, validationSlices_, loaderSettings(recipe_, false));

    createDirectories(request.output);
    writeSplit(request.output / "split.json", split, cache_);
    writeLabelMapJson(request.output / "label_map.json", cache_.labels());
    writeTextFile(request.output / "recipe.yaml", recipeToYaml(recipe_));
}

void SegmentationTask::initialisePriorBias(const StructureStatistics& statistics) {
    torch::NoGradGuard noGradient;
    const auto frequencies = channelFrequencies(statistics, output_);
    auto bias = network_->finalConv->bias;
    for (std::size_t c = 0; c < frequencies.size(); ++c) {
        const double p = frequencies[c];
        bias[static_cast<std::int64_t>(c)] = output_ == OutputKind::Sigmoid ? std::log(p / (1 - p)) : std::log(p);
    }
}

std::int64_t SegmentationTask::batchesPerEpoch() const {
    return trainLoader_->batchesPerEpoch();
}

void SegmentationTask::beginEpoch(int epoch, std::int64_t firstBatch) {
    waitedBefore_ = trainLoader_->waitedSeconds();
    trainLoader_->startEpoch(static_cast<std::uint64_t>(epoch), firstBatch);
}

double SegmentationTask::waitedSeconds() const {
    return trainLoader_->waitedSeconds() - waitedBefore_;
}

SegmentationTask::Batch SegmentationTask::toTensors(SliceBatch& batch) const {
    const auto images = imageTensor(batch, cache_, recipe_.model.coordinates);
    return {images.to(device_).contiguous(torch::MemoryFormat::ChannelsLast), labelTensor(batch).to(device_)};
}

std::vector<torch::Tensor> SegmentationTask::forwardAll(const torch::Tensor& images) {
    const AutocastScope autocast(precision_);
    return network_->forwardAll(images);
}

torch::Tensor SegmentationTask::forward(const torch::Tensor& images) {
    const AutocastScope autocast(precision_);
    return network_->forward(images).to(torch::kFloat);
}

torch::Tensor SegmentationTask::nextLoss() {
    auto batch = trainLoader_->next();
    if (!batch) throw WorkError("the slice loader ended before the epoch did");
    const Batch tensors = toTensors(*batch);
    // Deep supervision as nnU-Net weighs it: each halving of the resolution counts half, all together count 1.
    torch::Tensor loss;
    double weight = 1, weights = 0;
    std::int64_t step = 1;
    for (const torch::Tensor& logits : forwardAll(tensors.images)) {
        const auto labels = step == 1 ? tensors.labels : everyPixel(tensors.labels, step);
        const auto part = segmentationLoss(logits, labels, loss_);
        loss = step == 1 ? part : loss + weight * part;
        weights += weight;
        weight /= 2;
        step *= 2;
    }
    return step == 2 ? loss : loss / weights;
}

ValidationResult SegmentationTask::validate() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (!validationLoader_) return {nan, nan};
    auto counts = torch::zeros({static_cast<std::int64_t>(cache_.labels().size()), 3}, torch::kLong);
    double lossSum = 0;
    std::int64_t slices = 0;
    validationLoader_->startEpoch(0);
    while (auto batch = validationLoader_->next()) {
        const Batch tensors = toTensors(*batch);
        const auto logits = forward(tensors.images);
        lossSum += segmentationLoss(logits, tensors.labels, loss_).item<double>() * static_cast<double>(batch->count);
        slices += batch->count;
        countOverlap(logits, tensors.labels, output_, kOverlapThreshold, counts, loss_.ignoreLabel);
    }
    return {lossSum / static_cast<double>(slices), meanDice(counts)};
}

void SegmentationTask::drawSamples(const std::filesystem::path& file) {
    constexpr int kSamples = 4;
    constexpr double kPanelSize = 250;
    if (validationSlices_.empty()) return;
    LoaderSettings settings = loaderSettings(recipe_, false);
    settings.batchSize = 1;
    SliceLoader loader(cache_, richSlices(cache_, validationSlices_, kSamples), settings);
    loader.startEpoch(0);
    std::vector<OverlayRow> rows;
    while (auto batch = loader.next()) {
        const Batch tensors = toTensors(*batch);
        const auto predicted = strongestLabels(forward(tensors.images), output_);
        const auto reference = tensors.labels.select(1, 0).to(torch::kCPU, torch::kShort).contiguous();
        const auto pixels = static_cast<std::size_t>(cache_.format().pixelCount());
        const std::size_t middle = static_cast<std::size_t>(recipe_.model.neighbours) * pixels;
        const auto asIds = [&](const torch::Tensor& ids) {
            return std::span(reinterpret_cast<const std::uint16_t*>(ids.data_ptr<std::int16_t>()), pixels);
        };
        rows.push_back(renderSlice(
            cache_, batch->slices[0],
            {std::span<const float>(batch->images).subspan(middle, pixels), asIds(reference), asIds(predicted)},
            kPanelSize));
    }
    createDirectories(file.parent_path());
    composeOverlays(rows, "Validation slices: " + file.stem().string()).writePng(file);
}

PickleValue SegmentationTask::description() const {
    return modelDescription(recipe_, cache_.labels());
}

}  // namespace medseg
