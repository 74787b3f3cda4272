#include "medseg/train/sam2_task.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/metrics/label_overlap.h"
#include "medseg/nn/device.h"
#include "medseg/nn/model_file.h"
#include "medseg/nn/sam2/fine_tuning.h"
#include "medseg/nn/sam2/image_predictor.h"
#include "medseg/nn/sam2/model_file.h"
#include "medseg/train/coarse_target.h"
#include "medseg/train/promptable_loss.h"
#include "medseg/train/rank_overlap.h"

namespace medseg {
namespace {

/// Names of ids 1..N: those of the recipe, "label_N" beyond them.
LabelTable labelTable(const std::vector<std::string>& names, int highest) {
    std::vector<std::string> all = names;
    for (int id = static_cast<int>(names.size()) + 1; id <= highest; ++id) all.push_back(fmt::format("label_{}", id));
    return LabelTable::fromNames(all);
}

int highestLabel(const PromptSliceFolder& folder) {
    int highest = 0;
    for (const PromptSlice& slice : folder.slices()) highest = std::max(highest, slice.pixels.rbegin()->first);
    return highest;
}

}  // namespace

Sam2Task::Sam2Task(const TrainRequest& request)
    : recipe_(request.recipe),
      folder_(request.cache),
      split_(splitPromptSlices(folder_, recipe_.data, recipe_.seed)),
      labels_(labelTable(recipe_.data.structures, highestLabel(folder_))),
      device_(deviceFromName(recipe_.device)),
      network_(buildSam2(recipe_.sam2, !(request.resume && fs::exists(request.output / "latest.pth")))) {
    trainOnly(*network_, recipe_.sam2.train);
    const auto& parts = recipe_.sam2.train;
    if (recipe_.sam2.clipSlices == 1 && std::find(parts.begin(), parts.end(), "memory") != parts.end())
        throw UsageError(
            "sam2.train memory needs sam2.clip_slices of 2 or more: a single slice has nothing to remember");
    network_->to(device_);
    if (split_.validation.empty())
        logWarning("no slice is held out: there will be no best.pth (data.validation_fraction)");
    share_.batchSize = recipe_.train.batchSize;
    if (request.writes) writeRunFiles(request.output);
    logInfo("{} slices train, {} validate; input {} pixels", split_.training.size(), split_.validation.size(),
            network_->settings().imageSize);
}

void Sam2Task::join(DataParallel& ranks) {
    ranks_ = &ranks;
    share_.shard = ranks.rank();
    share_.shards = ranks.size();
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} slices are too few for {} processes", split_.training.size(), ranks.size()));
}

void Sam2Task::writeRunFiles(const fs::path& output) const {
    createDirectories(output);
    nlohmann::ordered_json names;
    for (const Label& label : labels_.labels()) names[label.name] = label.id;
    writeTextFile(output / "label_map.json", names.dump(2) + "\n");
    writePromptSplit(output / "split.json", split_, folder_);
    writeTextFile(output / "recipe.yaml", recipeToYaml(recipe_));
}

std::int64_t Sam2Task::batchesPerEpoch() const {
    return share_.batches(static_cast<std::int64_t>(split_.training.size()));
}

void Sam2Task::beginEpoch(int epoch, std::int64_t firstBatch) {
    if (loading_.valid()) loading_.get();
    epoch_ = epoch;
    nextBatch_ = firstBatch;
    waited_ = 0;
    order_ = split_.training;
    Random(recipe_.seed, static_cast<std::uint64_t>(epoch)).shuffle(order_);
    startLoading(firstBatch);
}

void Sam2Task::startLoading(std::int64_t batch) {
    if (batch < batchesPerEpoch())
        loading_ = std::async(std::launch::async, [this, batch] { return loadBatch(batch); });
}

torch::Tensor Sam2Task::inputOf(std::size_t slice) const {
    GrayPicture picture = folder_.readGray(slice);
    const torch::Tensor bytes =
        torch::from_blob(picture.pixels.data(), {1, picture.rows, picture.columns}, torch::kByte);
    return imagesToInput(bytes, network_->settings().imageSize);
}

torch::Tensor Sam2Task::boxTensor(const std::array<double, 4>& box) const {
    const auto side = static_cast<double>(network_->settings().imageSize);
    const double x = side / static_cast<double>(folder_.columns());
    const double y = side / static_cast<double>(folder_.rows());
    return torch::tensor({static_cast<float>(box[0] * x), static_cast<float>(box[1] * y),
                          static_cast<float>(box[2] * x), static_cast<float>(box[3] * y)});
}

torch::Tensor Sam2Task::maskTensor(const std::vector<std::uint8_t>& mask) const {
    return coarseMask(mask, folder_.rows(), folder_.columns(), network_->settings().lowResolution());
}

Sam2Task::Batch Sam2Task::loadBatch(std::int64_t batch) const {
    const auto [first, last] = share_.places(batch, static_cast<std::int64_t>(order_.size()));
    std::vector<torch::Tensor> images, targets, boxes;
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
        // A stream for every sample of every epoch: the same whatever was loaded before.
        Random random(recipe_.seed + 1, static_cast<std::uint64_t>(epoch_) << 32 | i);
        const auto& present = folder_.slices()[order_[i]].pixels;
        const int label = std::next(present.begin(), static_cast<std::ptrdiff_t>(random.index(present.size())))->first;
        PromptTarget target = folder_.target(folder_.readLabels(order_[i]), label);
        jitterBox(target.box, recipe_.sam2.boxShift, folder_.rows(), folder_.columns(), random);
        boxes.push_back(boxTensor(target.box));
        std::vector<torch::Tensor> clipImages, clipTargets;
        for (const std::size_t slice : clipFrom(order_[i], random)) {
            clipImages.push_back(inputOf(slice));
            const bool prompted = clipTargets.empty();
            clipTargets.push_back(
                maskTensor(prompted ? target.mask : folder_.target(folder_.readLabels(slice), label).mask));
        }
        images.push_back(torch::cat(clipImages));
        targets.push_back(torch::stack(clipTargets));
    }
    return {torch::stack(images), torch::stack(targets), torch::stack(boxes)};
}

std::vector<std::size_t> Sam2Task::clipFrom(std::size_t start, Random& random) const {
    std::vector<std::size_t> clip{start};
    if (recipe_.sam2.clipSlices == 1) return clip;
    const auto& all = split_.training;  // ascending by case and number
    auto place = std::lower_bound(all.begin(), all.end(), start) - all.begin();
    const std::ptrdiff_t step = random.index(2) == 0 ? -1 : 1;
    while (static_cast<int>(clip.size()) < recipe_.sam2.clipSlices) {
        const std::ptrdiff_t next = place + step;
        const bool inCase =
            next >= 0 && next < static_cast<std::ptrdiff_t>(all.size()) &&
            folder_.slices()[all[static_cast<std::size_t>(next)]].caseId == folder_.slices()[start].caseId;
        if (inCase) place = next;
        clip.push_back(all[static_cast<std::size_t>(place)]);
    }
    return clip;
}

torch::Tensor Sam2Task::nextLoss() {
    const auto start = std::chrono::steady_clock::now();
    const Batch batch = loading_.get();
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    batchShare_ = share_.weight(nextBatch_, static_cast<std::int64_t>(order_.size()));
    startLoading(++nextBatch_);
    const torch::Tensor images = batch.images.to(device_), boxes = batch.boxes.to(device_),
                        targets = batch.targets.to(device_);
    if (recipe_.sam2.clipSlices == 1)
        return promptableLoss(boxLogits(*network_, images.squeeze(1), boxes), targets.squeeze(1)).total();
    torch::Tensor loss;
    std::int64_t slice = 0;
    for (const ClipAnswer& answer : trackClips(*network_, images, boxes)) {
        const torch::Tensor part = trackedLoss(answer.logits, answer.objectScore, targets.select(1, slice++));
        loss = loss.defined() ? loss + part : part;
    }
    return loss / recipe_.sam2.clipSlices;
}

Sam2Task::PromptedSlice Sam2Task::promptsOf(std::size_t slice) const {
    const std::vector<std::uint8_t> ids = folder_.readLabels(slice);
    PromptedSlice prompts;
    std::vector<torch::Tensor> boxes, targets;
    for (const auto& [label, pixels] : folder_.slices()[slice].pixels) {
        const PromptTarget target = folder_.target(ids, label);
        const auto shift = static_cast<double>(recipe_.sam2.boxShift);
        const auto& box = target.box;
        prompts.labels.push_back(label);
        boxes.push_back(boxTensor({std::max(0.0, box[0] - shift), std::max(0.0, box[1] - shift),
                                   std::min(static_cast<double>(folder_.columns()), box[2] + shift),
                                   std::min(static_cast<double>(folder_.rows()), box[3] + shift)}));
        targets.push_back(maskTensor(target.mask));
    }
    prompts.boxes = torch::stack(boxes);
    prompts.targets = torch::stack(targets);
    return prompts;
}

torch::Tensor Sam2Task::promptedLogits(std::size_t slice, const PromptedSlice& prompts) {
    const auto count = static_cast<std::int64_t>(prompts.labels.size());
    const ImageFeatures features = network_->encodeImages(inputOf(slice).to(device_));
    PromptBatch batch;
    batch.points = prompts.boxes.to(device_).reshape({count, 2, 2});
    batch.labels = torch::tensor({2, 3}, torch::kInt).to(device_).unsqueeze(0).expand({count, 2});
    return network_->decode(network_->withoutMemory(features.embedding), features.highResolution, batch, false).masks;
}

ValidationResult Sam2Task::validate() {
    ValidationResult result;
    if (split_.validation.empty()) {
        result.loss = result.dice = std::numeric_limits<double>::quiet_NaN();
        return result;
    }
    LabelOverlap overlap;
    double slices = 0;
    for (const std::size_t slice : share_.partOf(split_.validation)) {
        throwIfInterrupted();
        const PromptedSlice prompts = promptsOf(slice);
        const torch::Tensor logits = promptedLogits(slice, prompts).to(torch::kCPU);
        result.loss += promptableLoss(logits, prompts.targets).total().item<double>();
        slices += 1;
        const torch::Tensor inside = logits > 0, wanted = prompts.targets > 0;
        for (std::size_t i = 0; i < prompts.labels.size(); ++i) {
            const auto row = static_cast<std::int64_t>(i);
            OverlapCounts counts;
            counts.reference = wanted[row].sum().item<std::int64_t>();
            counts.prediction = inside[row].sum().item<std::int64_t>();
            counts.intersection = (inside[row] & wanted[row]).sum().item<std::int64_t>();
            overlap.add(prompts.labels[i], counts);
        }
    }
    if (ranks_ != nullptr) {
        overlap = sumOverRanks(overlap, *ranks_);
        result.loss = ranks_->sum(result.loss);
        slices = ranks_->sum(slices);
    }
    result.loss /= slices;
    result.dice = overlap.meanDice();
    return result;
}

PickleValue Sam2Task::description() const {
    return modelDescription(recipe_, labels_);
}

}  // namespace medseg
