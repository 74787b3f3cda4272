#include "medseg/train/latent_task.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/sam3d/latent_structure.h"
#include "medseg/nn/sam3d/reconstruction_loss.h"
#include "medseg/nn/sam3d/sam3d_network.h"
#include "medseg/train/trainer.h"

namespace medseg {
namespace {

constexpr std::uint64_t kOrderStream = 201, kBatchStream = 202;
constexpr std::uint64_t kValidationSeed = 20260202;
constexpr std::int64_t kMegabyte = 1 << 20;

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

FlowSampling latentSampling(const SamplingRecipeSettings& settings) {
    return {settings.latentSteps, 1, settings.latentGuidance, settings.guidanceInterval, false};
}

void setTrainable(torch::nn::Module& module, bool trainable) {
    for (auto& parameter : module.parameters()) parameter.set_requires_grad(trainable);
}

}  // namespace

TrainSettings LatentTask::trainSettings(const Recipe& recipe) {
    TrainSettings settings = recipe.train;
    settings.epochs = recipe.sam3d.latentEpochs;
    settings.learningRate = recipe.sam3d.latentLearningRate;
    return settings;
}

LatentTask::LatentTask(const Recipe& recipe, LatentNetwork network, const ReconstructionData& data)
    : recipe_(recipe),
      network_(std::move(network)),
      data_(data),
      rules_(ConditionRules::from(recipe_, network_->shape().condition.dino.inputSize)) {
    const auto& loss = recipe_.loss;
    lossSettings_.grid = network_->shape().mesh.resolution;
    lossSettings_.distance = loss.meshDistance;
    lossSettings_.chamfer = loss.chamfer;
    lossSettings_.regulariser = loss.regulariser;
    lossSettings_.occupancy = loss.meshOccupancy;
    lossSettings_.limit = loss.meshLimit;
    rules_.framePoints = usesFramePoints(recipe_);
    share_.batchSize = recipe_.train.batchSize;
    const bool perShape = !network_->shape().generates && recipe_.sam3d.frame == "crop";
    training_ = perShape ? oncePerShape(data.training) : data.training;
    validation_ = spread(perShape ? oncePerShape(data.validation) : data.validation,
                         static_cast<std::size_t>(recipe_.sam3d.validationSamples));
    setTrainable(*network_, false);
    if (recipe_.lora.enabled) {
        attachLora(*network_, latentLoraSettings(recipe_));
        return;
    }
    setTrainable(*network_->decoder, true);
    if (network_->generator && recipe_.sam3d.latentGenerator == "trained") setTrainable(*network_->generator, true);
}

std::int64_t LatentTask::batchesPerEpoch() const {
    const auto all = static_cast<std::int64_t>(training_.size());
    const std::int64_t wanted = recipe_.sam3d.latentSamplesPerEpoch;
    return share_.batches(wanted > 0 ? std::min(all, wanted) : all);
}

void LatentTask::join(DataParallel& ranks) {
    ranks_ = &ranks;
    share_.shard = ranks.rank();
    share_.shards = ranks.size();
    if (batchesPerEpoch() == 0)
        throw UsageError(fmt::format("{} shapes are too few for {} processes", training_.size(), ranks.size()));
}

void LatentTask::beginEpoch(int epoch, std::int64_t firstBatch) {
    Random random(recipe_.seed, kOrderStream + (static_cast<std::uint64_t>(epoch) << 32));
    order_ = training_;
    random.shuffle(order_);
    if (recipe_.sam3d.latentSamplesPerEpoch > 0)
        order_.resize(std::min(order_.size(), static_cast<std::size_t>(recipe_.sam3d.latentSamplesPerEpoch)));
    epoch_ = epoch;
    batch_ = firstBatch;
    waited_ = 0;
}

std::shared_ptr<const ReferenceShape> LatentTask::shapeOf(const Sam3dObject& object, const OccupancyFrame& frame) {
    const auto key = std::make_pair(object.caseIndex, object.label);
    const bool sameForAll = recipe_.sam3d.frame == "crop";
    if (const auto found = shapes_.find(key); sameForAll && found != shapes_.end()) return found->second;
    auto shape = std::make_shared<ReferenceShape>(data_.dataset->readDistance(object.caseIndex, object.label), frame);
    if (sameForAll && keptBytes_ + shape->bytes() <= recipe_.sam3d.cacheMegabytes * kMegabyte) {
        keptBytes_ += shape->bytes();
        shapes_[key] = shape;
    }
    return shape;
}

LatentTask::Prepared LatentTask::prepare(const Sam3dObject& object) {
    const auto start = std::chrono::steady_clock::now();
    const std::string name = data_.dataset->describe(object);
    if (const auto found = prepared_.find(name); found != prepared_.end()) return found->second;
    const std::int64_t grid = network_->shape().mesh.resolution;
    const bool needsSlice = network_->shape().generates || recipe_.sam3d.frame == "object";
    Prepared prepared;
    OccupancyFrame frame = cropFrame(data_.dataset->sizeOf(object.caseIndex), grid);
    Sam3dDataset::LoadedSlice loaded;
    if (needsSlice) {
        loaded = data_.dataset->readSlice(object);
        frame = frameFor(recipe_, loaded.slice, object.label, data_.dataset->sizeOf(object.caseIndex), grid);
    }
    prepared.shape = shapeOf(object, frame);
    if (network_->shape().generates) {
        torch::NoGradGuard noGradient;
        prepared.voxels = shellVoxels(prepared.shape->solid());
        if (prepared.voxels.size(0) == 0) throw DataError(name, "nothing of the label lies in the frame");
        const ConditionImages images = conditionImages(loaded.slice, object.label, loaded.affine, frame, rules_, name);
        prepared.condition = network_->embedder->forward(stacked({images}));
        const auto structure = SparseStructure::single(prepared.voxels);
        prepared.sampled = sampleLatents(network_->generator,
                                         torch::randn({prepared.voxels.size(0), network_->shape().flow.inChannels}),
                                         *structure, network_->generator->prepareCondition(prepared.condition),
                                         network_->generator->emptyCondition(1), latentSampling(recipe_.sampling));
        const std::int64_t bytes = prepared.condition.nbytes() + prepared.sampled.nbytes() + prepared.voxels.nbytes();
        if (recipe_.sam3d.frame == "crop" && keptBytes_ + bytes <= recipe_.sam3d.cacheMegabytes * kMegabyte) {
            keptBytes_ += bytes;
            prepared_[name] = prepared;
        }
    }
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return prepared;
}

torch::Tensor LatentTask::generatedLoss(const Prepared& prepared, LatentSample& sample, SparseStructure& structure) {
    if (recipe_.sam3d.latentGenerator == "frozen") {
        sample.latents = denormalisedLatents(prepared.sampled);
        return torch::zeros({});
    }
    // One step from a state between noise and the first sample to where the velocity points.
    const auto t = torch::sigmoid(torch::randn({1}) * recipe_.sam3d.timeDeviation + recipe_.sam3d.timeMean);
    const auto noise = torch::randn_like(prepared.sampled);
    const auto state = (1 - t) * noise + t * prepared.sampled;
    const auto velocity = network_->generator->velocity(state, structure, t * kFlowTimeScale,
                                                        network_->generator->prepareCondition(prepared.condition));
    sample.latents = denormalisedLatents(state + (1 - t) * velocity);
    return recipe_.loss.flow * torch::mse_loss(velocity, prepared.sampled - noise);
}

torch::Tensor LatentTask::shapeLoss(const Sam3dObject& object, Random* random, double* dice) {
    const Prepared prepared = prepare(object);
    LatentSample sample;
    torch::Tensor extra = torch::zeros({});
    std::unique_ptr<ReferenceShape> changed;
    SparseStructurePointer structure;
    if (network_->shape().generates) {
        sample.voxels = prepared.voxels;
        sample.solid = prepared.shape->solid();
        sample.target = prepared.shape->target();
        structure = SparseStructure::single(sample.voxels);
        extra = generatedLoss(prepared, sample, *structure);
        if (random != nullptr && recipe_.sam3d.latentVoxels > 0 && sample.voxels.size(0) > recipe_.sam3d.latentVoxels) {
            const auto part = nearestVoxels(sample.voxels, recipe_.sam3d.latentVoxels, *random);
            sample.voxels = sample.voxels.index_select(0, part);
            sample.latents = sample.latents.index_select(0, part);
            sample.target.surface = prepared.shape->surfaceWithin(sample.voxels);
            structure = SparseStructure::single(sample.voxels);
        }
    } else {
        if (random != nullptr) changed = std::make_unique<ReferenceShape>(prepared.shape->changed(*random));
        sample = structureSample(changed ? *changed : *prepared.shape, recipe_.sam3d.latentVoxels, random);
        if (sample.voxels.size(0) == 0)
            throw DataError(data_.dataset->describe(object), "nothing of the label's surface lies in the frame");
        structure = SparseStructure::single(sample.voxels);
    }
    const DecodedField field = network_->decoder->forward(sample.latents, structure);
    const DecodedMesh mesh = network_->decoder->meshes(field, true, {sample.solid}).at(0);
    if (dice != nullptr) *dice = overlapOf(mesh.supportDistance < 0, sample.target.distance(mesh.supportPoints) < 0);
    return meshLoss(mesh, sample.target, lossSettings_).total + extra;
}

torch::Tensor LatentTask::nextLoss() {
    Random random(recipe_.seed, kBatchStream + (static_cast<std::uint64_t>(epoch_) << 32) +
                                    (static_cast<std::uint64_t>(batch_) << 8) +
                                    (static_cast<std::uint64_t>(share_.shard) << 56));
    torch::manual_seed(random.next());
    if (batch_ >= batchesPerEpoch()) throw WorkError("the shapes ended before the epoch did");
    const auto samples = static_cast<std::int64_t>(order_.size());
    const auto [first, last] = share_.places(batch_, samples);
    batchShare_ = share_.weight(batch_, samples);
    torch::Tensor sum = torch::zeros({});
    for (std::int64_t i = first; i < last; ++i)
        sum = sum + shapeLoss(order_[static_cast<std::size_t>(i)], &random, nullptr);
    ++batch_;
    return sum / static_cast<double>(last - first);
}

ValidationResult LatentTask::validate() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (validation_.empty()) return {nan, nan};
    double loss = 0, sum = 0;
    torch::manual_seed(kValidationSeed);
    for (const Sam3dObject& object : validation_) {
        double dice = 0;
        loss += shapeLoss(object, nullptr, &dice).item<double>();
        sum += dice;
    }
    const auto count = static_cast<double>(validation_.size());
    ValidationResult result{loss / count, sum / count};
    // All ranks measured the same; the mean makes sure that they also decide the same.
    if (ranks_ != nullptr)
        result = {ranks_->sum(result.loss) / ranks_->size(), ranks_->sum(result.dice) / ranks_->size()};
    return result;
}

PickleValue LatentTask::description() const {
    std::vector<std::string> labels;
    for (int label = 1; label <= data_.classes(); ++label) labels.push_back(fmt::format("label_{}", label));
    return latentDescription(recipe_, labels);
}

void LatentTask::addWeights(PickleValue& checkpoint) {
    addLatentWeights(checkpoint, network_, recipe_);
}

void LatentTask::loadWeights(const PickleValue& checkpoint, const std::filesystem::path& file) {
    loadLatentCheckpoint(network_, file, checkpoint);
}

CheckpointNames LatentTask::checkpointNames() const {
    return {"latest.pt", "best.pt", "epoch_{}.pt", "history"};
}

TrainOutcome trainLatentStage(const TrainRequest& request, const ReconstructionData& data, DataParallel* ranks) {
    const Recipe& recipe = request.recipe;
    const bool given = !recipe.sam3d.weights.empty() && hasLatentWeights(recipe.sam3d.weights);
    if (!given && generatesLatents(recipe))
        throw UsageError(
            "sam3d.latents=generator needs a trained generator: set sam3d.weights, or sam3d.latents=structure");
    if (!given && recipe.lora.enabled)
        throw UsageError("lora.enabled needs weights to adapt: sam3d.weights has no mesh decoder");
    torch::manual_seed(recipe.seed);
    LatentNetwork network(latentShape(recipe));
    if (given) {
        loadLatentWeights(network, recipe.sam3d.weights);
        mergeLora(*network);
        removeLora(*network);
    }
    torch::manual_seed(recipe.seed);
    LatentTask task(recipe, network, data);
    if (ranks != nullptr) task.join(*ranks);
    const std::filesystem::path folder = request.output / "latent";
    if (request.writes) {
        createDirectories(folder);
        writeTextFile(folder / "recipe.yaml", recipeToYaml(recipe));
    }
    logInfo("latent stage: {} epochs of {} batches", recipe.sam3d.latentEpochs, task.batchesPerEpoch());
    const bool alone = recipe.sam3d.stage == "latent";
    return Trainer(LatentTask::trainSettings(recipe), task, folder, ranks)
        .run(request.resume || !request.resumeFrom.empty(), alone ? request.resumeFrom : std::filesystem::path());
}

}  // namespace medseg
