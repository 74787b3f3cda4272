#include "medseg/train/reconstruction_training.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/io/npy.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/lora/lora.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/train/latent_task.h"
#include "medseg/train/reconstruction_task.h"
#include "medseg/train/structure_vae_task.h"
#include "medseg/train/trainer.h"

namespace medseg {
namespace {

/// Mean occupancy of every label over the training cases, in the crop frame.
void writeMeanShapes(const fs::path& file, const Recipe& recipe, const ReconstructionData& data, std::int64_t grid) {
    std::map<std::string, NpyArray> arrays;
    for (int label = 1; label <= data.classes(); ++label) {
        auto sum = torch::zeros({grid, grid, grid});
        int cases = 0;
        std::size_t lastCase = SIZE_MAX;
        for (const Sam3dObject& object : data.training) {
            if (object.label != label || object.caseIndex == lastCase) continue;
            lastCase = object.caseIndex;
            const OccupancyFrame frame = cropFrame(data.dataset->sizeOf(object.caseIndex), grid);
            sum += gridTensor(occupancyInFrame(data.dataset->readDistance(object.caseIndex, label), frame), grid);
            ++cases;
        }
        if (cases > 0) sum /= cases;
        arrays[fmt::format("label_{}", label)] = NpyArray::of({grid, grid, grid}, sum.data_ptr<float>());
    }
    writeNpz(file, arrays);
}

/// Trains the autoencoder into OUTPUT/vae, unless it is finished there, and leaves its best weights in `network`.
void trainAutoencoder(const TrainRequest& request, Sam3dNetwork& network, const ReconstructionData& data,
                      DataParallel* ranks) {
    const fs::path folder = request.output / "vae";
    StructureVaeTask task(request.recipe, network, data);
    const bool resume = request.resume || !request.resumeFrom.empty();
    logInfo("autoencoder of shapes: {} epochs of {} batches", request.recipe.sam3d.vaeEpochs, task.batchesPerEpoch());
    if (ranks != nullptr) task.join(*ranks);
    Trainer trainer(StructureVaeTask::trainSettings(request.recipe), task, folder, ranks);
    const TrainOutcome outcome = trainer.run(resume);
    logInfo("autoencoder: validation Dice {:.4f} in epoch {}", outcome.bestDice, outcome.bestEpoch);
    const TorchFile best = readTorchFile(outcome.bestModel);
    loadStateDict(task.network(), best.root.at("model_state_dict"), outcome.bestModel.string());
}

void describeTraining(const Recipe& recipe, const torch::nn::Module& network) {
    std::int64_t total = 0, trainable = 0;
    for (const auto& parameter : network.parameters()) {
        total += parameter.numel();
        if (parameter.requires_grad()) trainable += parameter.numel();
    }
    logInfo("{} of {} parameters train ({:.2f} %){}", trainable, total,
            100.0 * static_cast<double>(trainable) / static_cast<double>(total),
            recipe.lora.enabled ? fmt::format(", adapters of rank {}", recipe.lora.rank) : "");
}

}  // namespace

TrainOutcome trainReconstruction(const TrainRequest& request, DataParallel* ranks) {
    const Recipe& recipe = request.recipe;
    if (recipe.device != "cpu")
        throw UsageError(fmt::format("device {}: SAM 3D trains on the CPU: set device=cpu", recipe.device));
    if (recipe.lora.enabled && recipe.sam3d.weights.empty())
        throw UsageError("lora.enabled needs weights to adapt: set sam3d.weights");
    torch::manual_seed(recipe.seed);
    ReconstructionData data = ReconstructionData::open(recipe, request.cache);
    if (request.writes) {
        createDirectories(request.output);
        writeTextFile(request.output / "recipe.yaml", recipeToYaml(recipe));
        writeCaseSplit(request.output / "split.json", data.split);
    }
    if (recipe.sam3d.stage == "latent") return trainLatentStage(request, data, ranks);
    Sam3dNetwork network(sam3dShape(recipe.sam3d.preset));
    if (request.writes) writeMeanShapes(request.output / "mean_shapes.npz", recipe, data, network->shape().grid);
    if (recipe.sam3d.weights.empty()) {
        trainAutoencoder(request, network, data, ranks);
    } else {
        loadSam3dWeights(network, recipe.sam3d.weights, true);
        mergeLora(*network);
        removeLora(*network);
    }
    torch::manual_seed(recipe.seed);  // adapters start the same whether the autoencoder was trained in this run or not
    const auto trainStructure = [&](ReconstructionData own) {
        ReconstructionTask task(request, network, std::move(own));
        if (ranks != nullptr) task.join(*ranks);
        describeTraining(recipe, *network);
        return Trainer(recipe.train, task, request.output, ranks).run(request.resume, request.resumeFrom);
    };
    TrainOutcome outcome = trainStructure(std::move(data));
    if (recipe.sam3d.stage == "both") trainLatentStage(request, ReconstructionData::open(recipe, request.cache), ranks);
    return outcome;
}

}  // namespace medseg
