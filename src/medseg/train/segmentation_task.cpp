#include "medseg/train/segmentation_task.h"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/nn/device.h"
#include "medseg/train/coarse_target.h"
#include "medseg/train/patch_data.h"
#include "medseg/train/slice_data.h"

namespace medseg {
namespace {

constexpr double kOverlapThreshold = 0.5;

/// The memory format in which convolutions are fastest, for tensors of this many axes (3D: measured on the CPU).
torch::MemoryFormat convolutionFormat(std::int64_t axes) {
    return axes == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
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

std::unique_ptr<SegmentationData> openSegmentationData(const TrainRequest& request) {
    if (request.recipe.model.dimensions == 3) return std::make_unique<PatchData>(request);
    return std::make_unique<SliceData>(request);
}

SegmentationTask::SegmentationTask(const TrainRequest& request)
    : recipe_(request.recipe),
      data_(openSegmentationData(request)),
      device_(deviceFromName(recipe_.device)),
      output_(outputKindOf(recipe_.model)),
      precision_(precisionFromName(recipe_.train.precision, device_,
                                   recipe_.model.dimensions == 2 && recipe_.model.norm == "batch")),
      loss_(lossOptions(recipe_, data_->labels())) {
    if (output_ == OutputKind::Softmax && data_->layerCount() > 1)
        throw UsageError("model.output softmax needs structures that do not overlap; these do: use sigmoid");
    const StructureStatistics statistics = data_->statistics();
    warnOfAbsentStructures(statistics, data_->labels());
    loss_.classWeights = classWeights(recipe_.train, data_->labels(), statistics, output_);
    network_ = buildUNet(recipe_.model, static_cast<int>(data_->labels().size()));
    data_->requireDivisible(network_->divisor());
    if (recipe_.model.priorBias) initialisePriorBias(statistics);
    network_->to(device_);
    for (auto& parameter : network_->parameters())
        if (parameter.dim() >= 4) parameter.set_data(parameter.contiguous(convolutionFormat(parameter.dim())));

    if (!request.writes) return;
    createDirectories(request.output);
    data_->writeSplit(request.output / "split.json");
    writeLabelMapJson(request.output / "label_map.json", data_->labels());
    writeTextFile(request.output / "recipe.yaml", recipeToYaml(recipe_));
}

void SegmentationTask::join(DataParallel& ranks) {
    ranks_ = &ranks;
    data_->share(ranks.rank(), ranks.size());
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
    return data_->batchesPerEpoch();
}

void SegmentationTask::beginEpoch(int epoch, std::int64_t firstBatch) {
    waitedBefore_ = data_->waitedSeconds();
    data_->startEpoch(static_cast<std::uint64_t>(epoch), firstBatch);
}

double SegmentationTask::waitedSeconds() const {
    return data_->waitedSeconds() - waitedBefore_;
}

SegmentationBatch SegmentationTask::onDevice(SegmentationBatch batch) const {
    batch.images = batch.images.to(device_).contiguous(convolutionFormat(batch.images.dim()));
    batch.labels = batch.labels.to(device_);
    return batch;
}

std::vector<torch::Tensor> SegmentationTask::forwardAll(const torch::Tensor& images) {
    const AutocastScope autocast(precision_, device_);
    return network_->forwardAll(images);
}

torch::Tensor SegmentationTask::forward(const torch::Tensor& images) {
    const AutocastScope autocast(precision_, device_);
    return network_->forward(images).to(torch::kFloat);
}

torch::Tensor SegmentationTask::nextLoss() {
    const SegmentationBatch batch = onDevice(data_->nextTraining());
    batchShare_ = batch.share;
    // Deep supervision as nnU-Net weighs it: each halving of the resolution counts half, all together count 1.
    torch::Tensor loss;
    double weight = 1, weights = 0;
    std::int64_t step = 1;
    for (const torch::Tensor& logits : forwardAll(batch.images)) {
        const auto labels = step == 1 ? batch.labels : coarseLabels(batch.labels, step);
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
    if (!data_->hasValidation()) return {nan, nan};
    auto counts = torch::zeros({static_cast<std::int64_t>(data_->labels().size()), 3}, torch::kLong);
    double lossSum = 0, samples = 0;
    data_->startValidation();
    while (auto next = data_->nextValidation()) {
        const SegmentationBatch batch = onDevice(std::move(*next));
        const auto logits = forward(batch.images);
        lossSum += segmentationLoss(logits, batch.labels, loss_).item<double>() * static_cast<double>(batch.count);
        samples += static_cast<double>(batch.count);
        countOverlap(logits, batch.labels, output_, kOverlapThreshold, counts, loss_.ignoreLabel);
    }
    if (ranks_ != nullptr) {
        ranks_->sum(counts);
        lossSum = ranks_->sum(lossSum);
        samples = ranks_->sum(samples);
    }
    return {lossSum / samples, meanDice(counts)};
}

void SegmentationTask::drawSamples(const fs::path& file) {
    data_->drawSamples(
        [this](const torch::Tensor& images) {
            const auto prepared = images.to(device_).contiguous(convolutionFormat(images.dim()));
            return strongestLabels(forward(prepared), output_);
        },
        file);
}

PickleValue SegmentationTask::description() const {
    return modelDescription(recipe_, data_->labels());
}

}  // namespace medseg
