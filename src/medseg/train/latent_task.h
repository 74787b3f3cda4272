// Training of SAM 3D's latent stage: from the voxels of a structure to its surface.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "medseg/dataset/batch_share.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam3d/latent_network.h"
#include "medseg/train/latent_sample.h"
#include "medseg/train/reconstruction_samples.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// Voxels are those of the true structure; latents are the occupancy around them or, where the recipe says so, sampled
/// once from the latent generator with the slice as condition. The loss is meshLoss(); with a generator that trains
/// also that of its flow towards its own first samples. Every random number of a batch follows from seed, epoch and
/// batch.
class LatentTask : public TrainingTask {
  public:
    /// Settings of the trainer: those of the recipe with this stage's epochs and step size.
    static TrainSettings trainSettings(const Recipe& recipe);

    /// `network` must have its weights where they are to be adapted. The data must outlive the task.
    LatentTask(const Recipe& recipe, LatentNetwork network, const ReconstructionData& data);

    void join(DataParallel& ranks) override;
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    double batchShare() const override { return batchShare_; }
    /// Loss of validation shapes, and the Dice of inside and outside at the supervision points.
    ValidationResult validate() override;
    double waitedSeconds() const override { return waited_; }
    PickleValue description() const override;
    void addWeights(PickleValue& checkpoint) override;
    void loadWeights(const PickleValue& checkpoint, const std::filesystem::path& file) override;
    CheckpointNames checkpointNames() const override;

  private:
    /// A shape with, where latents are generated, what the generator made of its slice.
    struct Prepared {
        std::shared_ptr<const ReferenceShape> shape;
        torch::Tensor voxels, sampled, condition;
    };
    Prepared prepare(const Sam3dObject& object);
    std::shared_ptr<const ReferenceShape> shapeOf(const Sam3dObject& object, const OccupancyFrame& frame);
    torch::Tensor shapeLoss(const Sam3dObject& object, Random* random, double* dice);
    torch::Tensor generatedLoss(const Prepared& prepared, LatentSample& sample, SparseStructure& structure);

    Recipe recipe_;
    LatentNetwork network_;
    const ReconstructionData& data_;
    ConditionRules rules_;
    MeshLossSettings lossSettings_;
    std::map<std::pair<std::size_t, int>, std::shared_ptr<const ReferenceShape>> shapes_;  ///< in the crop frame
    std::map<std::string, Prepared> prepared_;
    std::int64_t keptBytes_ = 0;
    std::vector<Sam3dObject> training_, validation_, order_;
    int epoch_ = 0;
    std::int64_t batch_ = 0;
    double waited_ = 0;
    DataParallel* ranks_ = nullptr;
    BatchShare share_;
    double batchShare_ = 1;
};

/// Trains the latent stage into request.output/latent: with the recipe's weights to start from or to adapt, else from
/// scratch. `ranks`: the processes of the job, null for one. Throws UsageError where weights are needed, and what
/// Trainer::run() throws.
TrainOutcome trainLatentStage(const TrainRequest& request, const ReconstructionData& data, DataParallel* ranks);

}  // namespace medseg
