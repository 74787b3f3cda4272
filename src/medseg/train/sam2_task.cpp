#include "medseg/train/sam2_task.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/imaging/resize_opencv.h"
#include "medseg/nn/device.h"
#include "medseg/nn/model_file.h"
#include "medseg/nn/sam2/fine_tuning.h"
#include "medseg/nn/sam2/image_predictor.h"
#include "medseg/nn/sam2/model_file.h"
#include "medseg/train/promptable_loss.h"

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

/// Dice of one label over all validation slices.
struct PooledDice {
    double overlap = 0, sum = 0;
    double value() const { return sum > 0 ? 2 * overlap / sum : std::numeric_limits<double>::quiet_NaN(); }
};

}  // namespace

Sam2Task::Sam2Task(const TrainRequest& request)
    : recipe_(request.recipe),
      folder_(request.cache),
      split_(splitPromptSlices(folder_, recipe_.data, recipe_.seed)),
      labels_(labelTable(recipe_.data.structures, highestLabel(folder_))),
      device_(deviceFromName(recipe_.device)),
      network_(buildSam2(recipe_.sam2, !(request.resume && fs::exists(request.output / "latest.pth")))) {
    trainOnly(*network_, recipe_.sam2.train);
    network_->to(device_);
    if (split_.validation.empty())
        logWarning("no slice is held out: there will be no best.pth (data.validation_fraction)");
    writeRunFiles(request.output);
    logInfo("{} slices train, {} validate; input {} pixels", split_.training.size(), split_.validation.size(),
            network_->settings().imageSize);
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
    const auto slices = static_cast<std::int64_t>(split_.training.size());
    return (slices + recipe_.train.batchSize - 1) / recipe_.train.batchSize;
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
    const std::int64_t side = network_->settings().lowResolution();
    torch::Tensor low = torch::empty({1, side, side}, torch::kByte);
    resizeOpenCv({mask.data(), folder_.columns(), folder_.rows(), 1}, OpenCvResize::Nearest,
                 PixelView<std::uint8_t>{low.data_ptr<std::uint8_t>(), side, side, 1});
    return low.to(torch::kFloat);
}

Sam2Task::Batch Sam2Task::loadBatch(std::int64_t batch) const {
    const auto size = static_cast<std::size_t>(recipe_.train.batchSize);
    const std::size_t first = static_cast<std::size_t>(batch) * size;
    const std::size_t last = std::min(first + size, order_.size());
    std::vector<torch::Tensor> images, targets, boxes;
    for (std::size_t i = first; i < last; ++i) {
        // A stream for every sample of every epoch: the same whatever was loaded before.
        Random random(recipe_.seed + 1, static_cast<std::uint64_t>(epoch_) << 32 | i);
        const auto& present = folder_.slices()[order_[i]].pixels;
        const int label = std::next(present.begin(), static_cast<std::ptrdiff_t>(random.index(present.size())))->first;
        PromptTarget target = folder_.target(folder_.readLabels(order_[i]), label);
        jitterBox(target.box, recipe_.sam2.boxShift, folder_.rows(), folder_.columns(), random);
        images.push_back(inputOf(order_[i]));
        targets.push_back(maskTensor(target.mask));
        boxes.push_back(boxTensor(target.box));
    }
    return {torch::cat(images), torch::stack(targets), torch::stack(boxes)};
}

torch::Tensor Sam2Task::nextLoss() {
    const auto start = std::chrono::steady_clock::now();
    const Batch batch = loading_.get();
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    startLoading(++nextBatch_);
    const torch::Tensor logits = boxLogits(*network_, batch.images.to(device_), batch.boxes.to(device_));
    return promptableLoss(logits, batch.targets.to(device_)).total();
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
    std::map<int, PooledDice> labels;
    for (const std::size_t slice : split_.validation) {
        throwIfInterrupted();
        const PromptedSlice prompts = promptsOf(slice);
        const torch::Tensor logits = promptedLogits(slice, prompts).to(torch::kCPU);
        result.loss += promptableLoss(logits, prompts.targets).total().item<double>();
        const torch::Tensor inside = (logits > 0).to(torch::kFloat);
        for (std::size_t i = 0; i < prompts.labels.size(); ++i) {
            const auto row = static_cast<std::int64_t>(i);
            PooledDice& dice = labels[prompts.labels[i]];
            dice.overlap += (inside[row] * prompts.targets[row]).sum().item<double>();
            dice.sum += (inside[row].sum() + prompts.targets[row].sum()).item<double>();
        }
    }
    result.loss /= static_cast<double>(split_.validation.size());
    for (const auto& [label, dice] : labels) result.dice += dice.value() / static_cast<double>(labels.size());
    return result;
}

PickleValue Sam2Task::description() const {
    return modelDescription(recipe_, labels_);
}

}  // namespace medseg
