#include "medseg/train/promptable_task.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/random.h"
#include "medseg/metrics/label_overlap.h"
#include "medseg/nn/device.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam/sam_file.h"
#include "medseg/nn/sam/sam_registry.h"
#include "medseg/report/overlay.h"
#include "medseg/train/mixed_precision.h"
#include "medseg/train/promptable_loss.h"
#include "medseg/train/promptable_step.h"
#include "medseg/train/rank_overlap.h"

namespace medseg {
namespace {

/// Box jitter is given for inputs of this size.
constexpr double kJitterReference = 1024;
/// Prompts of one slice that go through the decoder together.
constexpr std::size_t kPromptsAtOnce = 32;

std::uint64_t streamOf(int epoch, std::int64_t position) {
    return (static_cast<std::uint64_t>(epoch) << 32) ^ static_cast<std::uint64_t>(position);
}

}  // namespace

PromptableTask::PromptableTask(const TrainRequest& request)
    : recipe_(request.recipe),
      folder_(request.cache),
      device_(deviceFromName(recipe_.device)),
      precision_(precisionFromName(recipe_.train.precision, device_, true)),
      network_(samShape(recipe_.sam.model, recipe_.sam.imageSize)),
      split_(splitPromptSlices(folder_, recipe_.data, recipe_.seed)) {
    const std::int64_t size = network_->shape().imageSize();
    if (folder_.rows() != size || folder_.columns() != size)
        throw UsageError(fmt::format(
            "{}: slices of {}x{} pixels, {} takes {}x{}: prepare them with --image-size {} or set sam.image_size",
            folder_.folder().string(), folder_.rows(), folder_.columns(), recipe_.sam.model, size, size, size));
    if (!recipe_.sam.checkpoint.empty()) loadSamWeights(*network_, recipe_.sam.checkpoint);
    chooseParameters();
    if (auto* vit = dynamic_cast<VitImageEncoderImpl*>(network_->imageEncoder.get()))
        vit->recomputeActivations(recipe_.sam.recomputeActivations);
    network_->to(device_);
    share_.batchSize = recipe_.train.batchSize;

    if (request.writes) createDirectories(request.output);
    if (!encoderLearns() && recipe_.sam.cacheEmbeddings)
        embeddings_ = std::make_unique<EmbeddingStore>(
            request.output / "embeddings",
            fmt::format("{} {}\n", weightsHash(*network_->imageEncoder), fs::absolute(folder_.folder()).string()));
    if (!request.writes) return;
    writePromptSplit(request.output / "split.json", split_, folder_);
    writeTextFile(request.output / "recipe.yaml", recipeToYaml(recipe_));
    if (!split_.validation.empty()) writeBoxBaseline(request.output / "validation_boxes.json");
}

void PromptableTask::join(DataParallel& ranks) {
    ranks_ = &ranks;
    share_.shard = ranks.rank();
    share_.shards = ranks.size();
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} slices are too few for {} processes", split_.training.size(), ranks.size()));
}

LoraSettings PromptableTask::loraSettings() const {
    LoraSettings lora;
    lora.rank = recipe_.sam.loraRank;
    lora.alpha = recipe_.sam.loraAlpha;
    lora.dropout = recipe_.sam.loraDropout;
    lora.targets = recipe_.sam.loraTargets;
    lora.exclude = {"mask_decoder"};
    lora.train = {"mask_decoder"};
    return lora;
}

void PromptableTask::chooseParameters() {
    if (recipe_.sam.loraRank > 0) {
        if (!encoderLearns()) throw UsageError("sam.lora_rank adapts the encoder, sam.train: decoder leaves it alone");
        const LoraReport report = attachLora(*network_, loraSettings());
        logInfo("adapters of rank {} on {} layers: {} of {} parameters learn", recipe_.sam.loraRank,
                report.layers.size(), report.trainableValues, report.totalValues);
        return;
    }
    freezePromptEncoder(*network_);
    if (!encoderLearns()) freezeImageEncoder(*network_);
}

void PromptableTask::writeBoxBaseline(const fs::path& file) const {
    LabelOverlap overlap;
    for (const std::size_t slice : split_.validation)
        for (const PromptTarget& target : allTargets(slice)) {
            const auto width = static_cast<std::int64_t>(target.box[2] - target.box[0]) + 1;
            const auto height = static_cast<std::int64_t>(target.box[3] - target.box[1]) + 1;
            const std::int64_t inside = folder_.slices()[slice].pixels.at(target.label);
            overlap.add(target.label, {inside, width * height, inside, 0});
        }
    nlohmann::ordered_json labels;
    for (const auto& [label, counts] : overlap.counts()) labels[std::to_string(label)] = diceScore(counts);
    const double dice = overlap.meanDice();
    logInfo("{} slices train, {} validate; filling the boxes alone scores Dice {:.4f} on the latter",
            split_.training.size(), split_.validation.size(), dice);
    writeTextFile(file, nlohmann::ordered_json{{"dice", dice}, {"labels", labels}}.dump(2) + "\n");
}

std::int64_t PromptableTask::batchesPerEpoch() const {
    return share_.batches(static_cast<std::int64_t>(split_.training.size()));
}

void PromptableTask::beginEpoch(int epoch, std::int64_t firstBatch) {
    epoch_ = epoch;
    waited_ = 0;
    order_ = split_.training;
    Random random(recipe_.seed, streamOf(epoch, -1));
    random.shuffle(order_);
    startReading(firstBatch);
}

void PromptableTask::startReading(std::int64_t batch) {
    nextBatch_ = batch;
    if (batch >= batchesPerEpoch()) return;
    reading_ = std::async(std::launch::async, [this, batch] { return readBatch(batch); });
}

PromptableTask::Batch PromptableTask::takeBatch() {
    if (!reading_.valid()) throw WorkError("the slices ended before the epoch did");
    const auto start = std::chrono::steady_clock::now();
    Batch batch = reading_.get();
    batchShare_ = share_.weight(nextBatch_, static_cast<std::int64_t>(order_.size()));
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    startReading(nextBatch_ + 1);
    return batch;
}

PromptableTask::Batch PromptableTask::readBatch(std::int64_t batch) const {
    const auto [first, end] = share_.places(batch, static_cast<std::int64_t>(order_.size()));
    Batch samples;
    for (std::int64_t position = first; position < end; ++position) samples.push_back(readSample(position));
    return samples;
}

PromptableTask::Sample PromptableTask::readSample(std::int64_t position) const {
    Random random(recipe_.seed, streamOf(epoch_, position));
    Sample sample;
    sample.slice = order_[static_cast<std::size_t>(position)];
    const PromptSlice& slice = folder_.slices()[sample.slice];
    auto chosen = slice.pixels.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(random.index(slice.pixels.size())));
    sample.target = folder_.target(folder_.readLabels(sample.slice), chosen->first);
    const double size = static_cast<double>(folder_.rows());
    jitterBox(sample.target.box, std::lround(recipe_.sam.boxJitter * size / kJitterReference), folder_.rows(),
              folder_.columns(), random);
    if (!embeddings_ || !embeddings_->contains(slice.name())) sample.image = folder_.readImage(sample.slice);
    return sample;
}

torch::Tensor PromptableTask::imageTensor(const std::vector<float>& image) const {
    return torch::from_blob(const_cast<float*>(image.data()), {1, 3, folder_.rows(), folder_.columns()})
        .clone()
        .to(device_);
}

torch::Tensor PromptableTask::keptEmbedding(std::size_t slice, const std::vector<float>& image) {
    const torch::NoGradGuard noGradient;
    // A frozen encoder is used as in prediction, running statistics and all.
    if (!encoderLearns()) network_->imageEncoder->eval();
    const auto compute = [&] {
        const AutocastScope autocast(precision_, device_);
        // Contiguous as kept ones are: another layout takes other kernels, which round differently.
        return network_->encodeImage(imageTensor(image.empty() ? folder_.readImage(slice) : image))
            .to(torch::kFloat)
            .contiguous();
    };
    if (!embeddings_) return compute();
    return embeddings_->get(folder_.slices()[slice].name(), compute).to(device_);
}

torch::Tensor PromptableTask::embeddingsOf(const Batch& batch) {
    std::vector<torch::Tensor> parts;
    if (!encoderLearns()) {
        for (const Sample& sample : batch) parts.push_back(keptEmbedding(sample.slice, sample.image));
        return torch::cat(parts, 0);
    }
    for (const Sample& sample : batch) parts.push_back(imageTensor(sample.image));
    return network_->encodeImage(torch::cat(parts, 0));
}

torch::Tensor PromptableTask::stackMasks(const std::vector<const PromptTarget*>& targets) const {
    std::vector<torch::Tensor> masks;
    for (const PromptTarget* target : targets)
        masks.push_back(torch::from_blob(const_cast<std::uint8_t*>(target->mask.data()),
                                         {1, folder_.rows(), folder_.columns()}, torch::kByte));
    return torch::stack(masks, 0).to(device_);
}

torch::Tensor PromptableTask::stackBoxes(const std::vector<const PromptTarget*>& targets) const {
    std::vector<float> corners;
    for (const PromptTarget* target : targets)
        for (const double value : target->box) corners.push_back(static_cast<float>(value));
    return torch::tensor(corners).view({-1, 4}).to(device_);
}

torch::Tensor PromptableTask::nextLoss() {
    const Batch batch = takeBatch();
    std::vector<const PromptTarget*> targets;
    for (const Sample& sample : batch) targets.push_back(&sample.target);
    const torch::Tensor masks = stackMasks(targets);
    torch::Tensor logits;
    {
        const AutocastScope autocast(precision_, device_);
        logits = promptedLogits(*network_, embeddingsOf(batch), stackBoxes(targets), masks);
    }
    return promptableLoss(logits.to(torch::kFloat), masks).total();
}

std::vector<PromptTarget> PromptableTask::allTargets(std::size_t slice) const {
    const std::vector<std::uint8_t> labels = folder_.readLabels(slice);
    std::vector<PromptTarget> targets;
    for (const auto& [label, pixels] : folder_.slices()[slice].pixels) targets.push_back(folder_.target(labels, label));
    return targets;
}

torch::Tensor PromptableTask::logitsOfSlice(std::size_t slice, const std::vector<PromptTarget>& targets) {
    const AutocastScope autocast(precision_, device_);
    const torch::Tensor embedding = keptEmbedding(slice, {});
    std::vector<torch::Tensor> parts;
    for (std::size_t first = 0; first < targets.size(); first += kPromptsAtOnce) {
        std::vector<const PromptTarget*> some;
        for (std::size_t i = first; i < std::min(targets.size(), first + kPromptsAtOnce); ++i)
            some.push_back(&targets[i]);
        const torch::Tensor like = torch::empty({1, 1, folder_.rows(), folder_.columns()});
        parts.push_back(promptedLogits(*network_, embedding, stackBoxes(some), like).to(torch::kFloat));
    }
    return torch::cat(parts, 0);
}

ValidationResult PromptableTask::validate() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (split_.validation.empty()) return {nan, nan};
    LabelOverlap overlap;
    double lossSum = 0, prompts = 0;
    for (const std::size_t slice : share_.partOf(split_.validation)) {
        const std::vector<PromptTarget> targets = allTargets(slice);
        std::vector<const PromptTarget*> all;
        for (const PromptTarget& target : targets) all.push_back(&target);
        const torch::Tensor masks = stackMasks(all);
        const torch::Tensor logits = logitsOfSlice(slice, targets);
        const auto count = static_cast<std::int64_t>(targets.size());
        lossSum += promptableLoss(logits, masks).total().item<double>() * static_cast<double>(count);
        prompts += static_cast<double>(count);
        const torch::Tensor inside = logits.gt(0);
        const torch::Tensor wanted = masks.gt(0);
        for (std::int64_t i = 0; i < count; ++i) {
            OverlapCounts counts;
            counts.reference = wanted[i].sum().item<std::int64_t>();
            counts.prediction = inside[i].sum().item<std::int64_t>();
            counts.intersection = (inside[i] & wanted[i]).sum().item<std::int64_t>();
            overlap.add(targets[static_cast<std::size_t>(i)].label, counts);
        }
    }
    if (ranks_ != nullptr) {
        overlap = sumOverRanks(overlap, *ranks_);
        lossSum = ranks_->sum(lossSum);
        prompts = ranks_->sum(prompts);
    }
    return {lossSum / prompts, overlap.meanDice()};
}

void PromptableTask::drawSamples(const fs::path& file) {
    constexpr std::size_t kSamples = 4;
    constexpr double kPanelSize = 250;
    const std::size_t count = std::min(kSamples, split_.validation.size());
    if (count == 0) return;
    std::vector<OverlayRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t slice = split_.validation[(2 * i + 1) * split_.validation.size() / (2 * count)];
        const std::vector<PromptTarget> targets = allTargets(slice);
        const torch::Tensor logits = logitsOfSlice(slice, targets).to(torch::kCPU);
        const Geometry geometry = Geometry::axisAligned({folder_.columns(), folder_.rows(), 1}, {1, 1, 1});
        Volume<float> image(geometry);
        const std::vector<float> channels = folder_.readImage(slice);
        // Rows of a picture go down, those of a RAS volume up.
        const auto flipped = [&](std::int64_t y) { return folder_.rows() - 1 - y; };
        Volume<std::uint8_t> reference(geometry, 0), prediction(geometry, 0);
        const std::vector<std::uint8_t> labels = folder_.readLabels(slice);
        const auto [best, index] = logits.max(0);
        const torch::Tensor bestLogits = best[0].contiguous(), bestIndex = index[0].contiguous();
        for (std::int64_t y = 0; y < folder_.rows(); ++y)
            for (std::int64_t x = 0; x < folder_.columns(); ++x) {
                const std::int64_t at = y * folder_.columns() + x;
                image(x, flipped(y), 0) = channels[static_cast<std::size_t>(at)];
                reference(x, flipped(y), 0) = labels[static_cast<std::size_t>(at)];
                if (bestLogits.data_ptr<float>()[at] > 0)
                    prediction(x, flipped(y), 0) = static_cast<std::uint8_t>(
                        targets[static_cast<std::size_t>(bestIndex.data_ptr<std::int64_t>()[at])].label);
            }
        const LabelMap referenceMap(std::move(reference)), predictionMap(std::move(prediction));
        OverlayCase overlay;
        overlay.name = folder_.slices()[slice].name();
        overlay.image = &image;
        overlay.isOriented = overlay.isSized = false;
        overlay.reference = &referenceMap;
        overlay.prediction = &predictionMap;
        OverlayOptions options;
        options.slice = 0;
        options.window = Window::fromRange(0, 1);
        options.panelSize = kPanelSize;
        rows.push_back(renderOverlayRow(overlay, options));
    }
    createDirectories(file.parent_path());
    composeOverlays(rows, "Validation slices: " + file.stem().string()).writePng(file);
}

PickleValue PromptableTask::description() const {
    PickleValue description = samDescription(recipe_);
    if (recipe_.sam.loraRank > 0) addLoraEntries(description, loraCheckpointOf(*network_, loraSettings()));
    return description;
}

}  // namespace medseg
