#include "medseg/train/reconstruction_task.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam3d/reconstruction_loss.h"

namespace medseg {
namespace {

using torch::indexing::Slice;

constexpr std::uint64_t kOrderStream = 1, kBatchStream = 2;
constexpr std::uint64_t kValidationSeed = 20260101;
constexpr std::int64_t kMegabyte = 1 << 20;

/// Seeds torch's generator from everything that a batch may depend on: noise is each process's own.
void seedBatch(std::uint64_t seed, int epoch, std::int64_t batch, int rank) {
    Random random(seed, kBatchStream + (static_cast<std::uint64_t>(epoch) << 32) + static_cast<std::uint64_t>(batch) +
                            (static_cast<std::uint64_t>(rank) << 56));
    torch::manual_seed(random.next());
}

/// 1 with probability 1 - share, else 0: (batch, 1, 1).
torch::Tensor keepMask(std::int64_t batch, double share) {
    return torch::rand({batch, 1, 1}).ge(share).to(torch::kFloat);
}

void setTrainable(torch::nn::Module& module, bool trainable) {
    for (auto& parameter : module.parameters()) parameter.set_requires_grad(trainable);
}

}  // namespace

ReconstructionTask::ReconstructionTask(const TrainRequest& request, Sam3dNetwork network, ReconstructionData data)
    : recipe_(request.recipe),
      network_(std::move(network)),
      data_(std::move(data)),
      rules_(ConditionRules::from(recipe_, network_->shape().condition.dino.inputSize)),
      trainsEmbedder_(trainsEmbedder(recipe_)),
      tokens_(recipe_.sam3d.cacheMegabytes * kMegabyte),
      validation_(spread(data_.validation, static_cast<std::size_t>(recipe_.sam3d.validationSamples))) {
    rules_.framePoints = usesFramePoints(recipe_);
    share_.batchSize = recipe_.train.batchSize;
    setTrainable(*network_, false);
    if (recipe_.lora.enabled) {
        attachLora(*network_, loraSettingsFrom(recipe_.lora));
        return;
    }
    setTrainable(*network_->generator, true);
    if (trainsEmbedder_) setTrainable(*network_->embedder, true);
}

void ReconstructionTask::join(DataParallel& ranks) {
    ranks_ = &ranks;
    share_.shard = ranks.rank();
    share_.shards = ranks.size();
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} samples are too few for {} processes", data_.training.size(), ranks.size()));
}

std::int64_t ReconstructionTask::batchesPerEpoch() const {
    const auto all = static_cast<std::int64_t>(data_.training.size());
    return share_.batches(recipe_.sam3d.samplesPerEpoch > 0 ? std::min<std::int64_t>(all, recipe_.sam3d.samplesPerEpoch)
                                                            : all);
}

void ReconstructionTask::beginEpoch(int epoch, std::int64_t firstBatch) {
    Random random(recipe_.seed, kOrderStream + (static_cast<std::uint64_t>(epoch) << 32));
    order_ = data_.training;
    random.shuffle(order_);
    if (recipe_.sam3d.samplesPerEpoch > 0 && order_.size() > static_cast<std::size_t>(recipe_.sam3d.samplesPerEpoch))
        order_.resize(static_cast<std::size_t>(recipe_.sam3d.samplesPerEpoch));
    epoch_ = epoch;
    batch_ = firstBatch;
    waited_ = 0;
}

bool ReconstructionTask::wantsDecoded() const {
    return recipe_.loss.occupancy > 0 || recipe_.loss.sdf > 0 || recipe_.loss.mask > 0;
}

torch::Tensor ReconstructionTask::latentOf(const Sam3dObject& object, const OccupancyFrame& frame) {
    const bool keep = recipe_.sam3d.frame == "crop";
    const auto key = std::make_pair(object.caseIndex, object.label);
    if (const auto found = latents_.find(key); keep && found != latents_.end()) return found->second;
    torch::NoGradGuard noGradient;
    const Volume<float> distance = data_.dataset->readDistance(object.caseIndex, object.label);
    const FrameTarget target = frameTarget(distance, frame, recipe_.sam3d.target == "surface");
    const auto latent = latentToTokens(network_->encoder->forward(target.occupancy.unsqueeze(0)).mean)[0];
    if (keep) latents_[key] = latent;
    return latent;
}

ReconstructionTask::Batch ReconstructionTask::load(const std::vector<Sam3dObject>& objects, bool withTarget) {
    Batch batch;
    batch.objects = objects;
    std::vector<torch::Tensor> latents, occupancies, distances;
    std::vector<ConditionImages> images;
    std::array<std::vector<torch::Tensor>, kConditionStreams> features;
    for (const Sam3dObject& object : objects) {
        const std::string name = data_.dataset->describe(object);
        const auto loaded = data_.dataset->readSlice(object);
        const OccupancyFrame frame = frameFor(recipe_, loaded.slice, object.label,
                                              data_.dataset->sizeOf(object.caseIndex), network_->shape().grid);
        batch.frames.push_back(frame);
        latents.push_back(latentOf(object, frame));
        if (withTarget) {
            const FrameTarget target = frameTarget(data_.dataset->readDistance(object.caseIndex, object.label), frame,
                                                   recipe_.sam3d.target == "surface");
            occupancies.push_back(target.occupancy);
            distances.push_back(target.distance);
        }
        const ConditionFeatures* kept = trainsEmbedder_ ? nullptr : tokens_.find(name);
        if (kept == nullptr) {
            ConditionImages one = conditionImages(loaded.slice, object.label, loaded.affine, frame, rules_, name);
            if (trainsEmbedder_) {
                images.push_back(std::move(one));
                continue;
            }
            torch::NoGradGuard noGradient;
            tokens_.add(name, network_->embedder->features(stacked({one})));
            kept = tokens_.find(name);
            if (kept == nullptr) throw UsageError("sam3d.cache_mb is too small for the tokens of one slice");
        }
        for (std::size_t stream = 0; stream < kConditionStreams; ++stream) features[stream].push_back((*kept)[stream]);
    }
    batch.latents = torch::stack(latents);
    if (withTarget) batch.target = {torch::stack(occupancies), torch::stack(distances)};
    if (trainsEmbedder_) {
        batch.images = stacked(images);
    } else {
        for (std::size_t stream = 0; stream < kConditionStreams; ++stream)
            batch.features[stream] = torch::cat(features[stream]);
    }
    return batch;
}

torch::Tensor ReconstructionTask::conditionTokens(const Batch& batch, bool training) {
    const bool withPointmap = !training || torch::rand({1}).item<double>() >= recipe_.sam3d.pointmapDrop;
    const auto tokens = trainsEmbedder_ ? network_->embedder->forward(batch.images, withPointmap)
                                        : network_->embedder->fuse(batch.features, withPointmap);
    if (!training || recipe_.sam3d.conditionDrop <= 0) return tokens;
    return tokens * keepMask(tokens.size(0), recipe_.sam3d.conditionDrop);
}

torch::Tensor ReconstructionTask::trainingTimes(std::int64_t count) const {
    return torch::sigmoid(torch::randn({count}) * recipe_.sam3d.timeDeviation + recipe_.sam3d.timeMean);
}

torch::Tensor ReconstructionTask::decodedTerms(const Batch& batch, const FlowLoss& flow, const torch::Tensor& t) {
    const auto latent = tokensToLatent(flow.predictedData(kShapeLatent, t));
    const auto logits = network_->decoder->forward(latent);
    const auto& weights = recipe_.loss;
    torch::Tensor sum = torch::zeros({});
    if (weights.occupancy > 0) sum = sum + weights.occupancy * occupancyLoss(logits, batch.target.occupancy);
    if (weights.sdf > 0) sum = sum + weights.sdf * distanceLoss(logits, batch.target.occupancy, batch.target.distance);
    if (weights.mask > 0) {
        std::vector<torch::Tensor> planes, wanted;
        for (std::size_t i = 0; i < batch.objects.size(); ++i) {
            const Sam3dObject& object = batch.objects[i];
            const OccupancyFrame& frame = batch.frames[i];
            const auto plane =
                static_cast<std::int64_t>(std::llround(frame.toFrame(object.axis, static_cast<double>(object.slice))));
            if (plane < 0 || plane >= frame.grid) continue;
            const auto sample = static_cast<std::int64_t>(i);
            planes.push_back(logits[sample][0].select(object.axis, plane));
            wanted.push_back(batch.target.occupancy[sample][0].select(object.axis, plane));
        }
        if (!planes.empty()) sum = sum + weights.mask * occupancyLoss(torch::stack(planes), torch::stack(wanted));
    }
    return sum;
}

torch::Tensor ReconstructionTask::selfConsistency(const Batch& batch, const FlowCondition& condition,
                                                  const FlowLoss& flow, const torch::Tensor& t) {
    constexpr int kStepSizes = 8;  // 1, 1/2, ... 1/128
    const std::int64_t count = batch.latents.size(0);
    auto d = torch::pow(0.5, torch::randint(kStepSizes, {count}).to(torch::kFloat));
    // Two steps of d must not lead beyond the data.
    d = torch::minimum(d, (1 - t) / 2);
    const FlowState target = shortcutTarget(network_->generator, flow.state, t, d, condition,
                                            network_->generator->emptyCondition(count, false), 0);
    return shortcutLoss(network_->generator, flow.state, t, d, target, condition, {{kShapeLatent, 1.0}});
}

torch::Tensor ReconstructionTask::lossOf(const Batch& batch, bool training) {
    const std::int64_t count = batch.latents.size(0);
    const auto t = trainingTimes(count);
    const FlowState data{{kShapeLatent, batch.latents}}, noise{{kShapeLatent, torch::randn_like(batch.latents)}};
    const auto condition = network_->generator->prepareCondition(conditionTokens(batch, training), false);
    const FlowLoss flow = flowMatchingLoss(network_->generator, noise, data, t, condition, {{kShapeLatent, 1.0}});
    const bool consistent = training && torch::rand({1}).item<double>() < recipe_.sam3d.shortcutShare;
    torch::Tensor loss = recipe_.loss.flow * (consistent ? selfConsistency(batch, condition, flow, t) : flow.total);
    if (training && wantsDecoded()) loss = loss + decodedTerms(batch, flow, t);
    return loss;
}

torch::Tensor ReconstructionTask::nextLoss() {
    const auto start = std::chrono::steady_clock::now();
    if (batch_ >= batchesPerEpoch()) throw WorkError("the samples ended before the epoch did");
    const auto samples = static_cast<std::int64_t>(order_.size());
    const auto [first, last] = share_.places(batch_, samples);
    batchShare_ = share_.weight(batch_, samples);
    const Batch batch = load({order_.begin() + first, order_.begin() + last}, wantsDecoded());
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    seedBatch(recipe_.seed, epoch_, batch_, share_.shard);
    ++batch_;
    return lossOf(batch, true);
}

ValidationResult ReconstructionTask::validate() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (validation_.empty()) return {nan, nan};
    FlowSampling sampling = FlowSampling::distilled();
    if (!recipe_.sampling.distilled)
        sampling = {recipe_.sampling.steps, recipe_.sampling.rescale, recipe_.sampling.guidance,
                    recipe_.sampling.guidanceInterval, false};
    double lossSum = 0;
    std::map<int, std::vector<double>> dice;  // of each label
    torch::manual_seed(kValidationSeed);
    const auto size = static_cast<std::size_t>(recipe_.train.batchSize);
    for (std::size_t first = 0; first < validation_.size(); first += size) {
        const std::size_t last = std::min(validation_.size(), first + size);
        const Batch batch = load({validation_.begin() + static_cast<std::ptrdiff_t>(first),
                                  validation_.begin() + static_cast<std::ptrdiff_t>(last)},
                                 true);
        lossSum += lossOf(batch, false).item<double>() * static_cast<double>(last - first);
        const auto condition = network_->generator->prepareCondition(conditionTokens(batch, false), false);
        const auto none = network_->generator->emptyCondition(batch.latents.size(0), false);
        const FlowState result = sampleFlow(network_->generator, {{kShapeLatent, torch::randn_like(batch.latents)}},
                                            condition, none, sampling);
        const auto occupied = network_->decoder->forward(tokensToLatent(result.at(kShapeLatent))) > 0;
        for (std::size_t i = 0; i < batch.objects.size(); ++i) {
            const auto sample = static_cast<std::int64_t>(i);
            dice[batch.objects[i].label].push_back(overlapOf(occupied[sample], batch.target.occupancy[sample] > 0.5));
        }
    }
    double sum = 0;
    for (const auto& [label, values] : dice)
        sum += std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
    ValidationResult result{lossSum / static_cast<double>(validation_.size()), sum / static_cast<double>(dice.size())};
    // All ranks measured the same; the mean makes sure that they also decide the same.
    if (ranks_ != nullptr)
        result = {ranks_->sum(result.loss) / ranks_->size(), ranks_->sum(result.dice) / ranks_->size()};
    return result;
}

PickleValue ReconstructionTask::description() const {
    std::vector<std::string> labels;
    for (int label = 1; label <= data_.classes(); ++label) labels.push_back(fmt::format("label_{}", label));
    return sam3dDescription(recipe_, labels);
}

void ReconstructionTask::addWeights(PickleValue& checkpoint) {
    addSam3dWeights(checkpoint, network_, recipe_);
}

void ReconstructionTask::loadWeights(const PickleValue& checkpoint, const std::filesystem::path& file) {
    loadSam3dCheckpoint(network_, file, checkpoint);
}

CheckpointNames ReconstructionTask::checkpointNames() const {
    return {"latest.pt", "best.pt", "epoch_{}.pt", "history"};
}

}  // namespace medseg
