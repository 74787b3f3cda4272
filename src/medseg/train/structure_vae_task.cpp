#include "medseg/train/structure_vae_task.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/nn/sam3d/reconstruction_loss.h"

namespace medseg {
namespace {

constexpr std::uint64_t kOrderStream = 101, kBatchStream = 102;
constexpr std::int64_t kLargestShift = 6;  // voxels

/// Of each case and label the object with the most pixels: one shape, one sample.
std::vector<Sam3dObject> oncePerShape(const std::vector<Sam3dObject>& objects) {
    std::map<std::pair<std::size_t, int>, Sam3dObject> largest;
    for (const Sam3dObject& object : objects) {
        const auto [found, added] = largest.try_emplace({object.caseIndex, object.label}, object);
        if (!added && object.pixels > found->second.pixels) found->second = object;
    }
    std::vector<Sam3dObject> chosen;
    for (const auto& [key, object] : largest) chosen.push_back(object);
    return chosen;
}

/// Mirrored along random axes and shifted, with emptiness moving in.
torch::Tensor changed(torch::Tensor shape, Random& random) {
    for (std::int64_t axis = 1; axis <= 3; ++axis) {
        if (random.index(2) == 1) shape = shape.flip({axis});
        const std::int64_t shift = static_cast<std::int64_t>(random.index(2 * kLargestShift + 1)) - kLargestShift;
        if (shift == 0) continue;
        shape = shape.roll({shift}, {axis});
        shape.narrow(axis, shift > 0 ? 0 : shape.size(axis) + shift, std::abs(shift)).zero_();
    }
    return shape;
}

}  // namespace

TrainSettings StructureVaeTask::trainSettings(const Recipe& recipe) {
    TrainSettings settings = recipe.train;
    settings.epochs = recipe.sam3d.vaeEpochs;
    settings.learningRate = recipe.sam3d.vaeLearningRate;
    settings.accumulate = 1;
    settings.saveEvery = 0;
    settings.earlyStop = 0;
    return settings;
}

StructureVaeTask::StructureVaeTask(const Recipe& recipe, Sam3dNetwork& network, const ReconstructionData& data)
    : recipe_(recipe), data_(data), whole_(network), pair_(std::make_shared<torch::nn::Module>()) {
    share_.batchSize = recipe.train.batchSize;
    pair_->register_module("ss_encoder", network->encoder);
    pair_->register_module("ss_decoder", network->decoder);
    const bool perCase = recipe.sam3d.frame == "crop";
    training_ = perCase ? oncePerShape(data.training) : data.training;
    validation_ = spread(perCase ? oncePerShape(data.validation) : data.validation,
                         static_cast<std::size_t>(recipe.sam3d.validationSamples));
}

std::int64_t StructureVaeTask::batchesPerEpoch() const {
    const auto all = static_cast<std::int64_t>(training_.size());
    const std::int64_t wanted = recipe_.sam3d.vaeSamplesPerEpoch;
    return share_.batches(wanted > 0 ? std::min(all, wanted) : all);
}

void StructureVaeTask::join(DataParallel& ranks) {
    ranks_ = &ranks;
    share_.shard = ranks.rank();
    share_.shards = ranks.size();
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} shapes are too few for {} processes", training_.size(), ranks.size()));
}

void StructureVaeTask::beginEpoch(int epoch, std::int64_t firstBatch) {
    Random random(recipe_.seed, kOrderStream + (static_cast<std::uint64_t>(epoch) << 32));
    order_ = training_;
    random.shuffle(order_);
    if (recipe_.sam3d.vaeSamplesPerEpoch > 0)
        order_.resize(std::min(order_.size(), static_cast<std::size_t>(recipe_.sam3d.vaeSamplesPerEpoch)));
    epoch_ = epoch;
    batch_ = firstBatch;
    waited_ = 0;
}

torch::Tensor StructureVaeTask::shape(const Sam3dObject& object) const {
    OccupancyFrame frame = cropFrame(data_.dataset->sizeOf(object.caseIndex), whole_->shape().grid);
    if (recipe_.sam3d.frame == "object")
        frame = frameFor(recipe_, data_.dataset->readSlice(object).slice, object.label,
                         data_.dataset->sizeOf(object.caseIndex), whole_->shape().grid);
    const Volume<float> distance = data_.dataset->readDistance(object.caseIndex, object.label);
    return frameTarget(distance, frame, recipe_.sam3d.target == "surface").occupancy;
}

torch::Tensor StructureVaeTask::nextLoss() {
    const auto start = std::chrono::steady_clock::now();
    Random random(recipe_.seed, kBatchStream + (static_cast<std::uint64_t>(epoch_) << 32) +
                                    (static_cast<std::uint64_t>(batch_) << 8) +
                                    (static_cast<std::uint64_t>(share_.shard) << 56));
    torch::manual_seed(random.next());
    if (batch_ >= batchesPerEpoch()) throw WorkError("the shapes ended before the epoch did");
    const auto samples = static_cast<std::int64_t>(order_.size());
    const auto [first, last] = share_.places(batch_, samples);
    batchShare_ = share_.weight(batch_, samples);
    std::vector<torch::Tensor> shapes;
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
        shapes.push_back(changed(shape(order_[i]), random));
    const auto occupancy = torch::stack(shapes);
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++batch_;
    const auto posterior = whole_->encoder->forward(occupancy);
    const auto logits = whole_->decoder->forward(posterior.sample(torch::randn_like(posterior.mean)));
    // Without cross entropy: from scratch it ends at the share of occupied voxels everywhere, and stays there.
    return overlapLoss(logits, occupancy) +
           recipe_.sam3d.vaeKlWeight * normalDivergence(posterior.mean, posterior.logVariance);
}

ValidationResult StructureVaeTask::validate() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (validation_.empty()) return {nan, nan};
    double loss = 0, dice = 0;
    for (const Sam3dObject& object : validation_) {
        const auto occupancy = shape(object).unsqueeze(0);
        const auto logits = whole_->decoder->forward(whole_->encoder->forward(occupancy).mean);
        loss += overlapLoss(logits, occupancy).item<double>();
        dice += overlapOf(logits > 0, occupancy > 0.5);
    }
    const auto count = static_cast<double>(validation_.size());
    ValidationResult result{loss / count, dice / count};
    // All ranks measured the same; the mean makes sure that they also decide the same.
    if (ranks_ != nullptr)
        result = {ranks_->sum(result.loss) / ranks_->size(), ranks_->sum(result.dice) / ranks_->size()};
    return result;
}

PickleValue StructureVaeTask::description() const {
    PickleValue description = PickleValue::dict();
    description.set("format", "medseg-sam3d-vae-1");
    description.set("recipe", recipeToYaml(recipe_));
    return description;
}

CheckpointNames StructureVaeTask::checkpointNames() const {
    return {"latest.pt", "best.pt", "epoch_{}.pt", "history"};
}

}  // namespace medseg
