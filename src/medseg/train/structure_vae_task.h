// Training of SAM 3D's structure autoencoder on the shapes of the training cases, where no released weights are given.
#pragma once

#include <memory>
#include <vector>

#include "medseg/dataset/batch_share.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam3d/sam3d_network.h"
#include "medseg/train/reconstruction_samples.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// Cross entropy, Dice and a Kullback-Leibler term; shapes are mirrored and shifted at random. The validation Dice is
/// that of decoded posterior means.
class StructureVaeTask : public TrainingTask {
  public:
    /// Settings of the trainer: those of the recipe with the autoencoder's epochs and step size.
    static TrainSettings trainSettings(const Recipe& recipe);

    /// The references must outlive the task.
    StructureVaeTask(const Recipe& recipe, Sam3dNetwork& network, const ReconstructionData& data);

    void join(DataParallel& ranks) override;
    torch::nn::Module& network() override { return *pair_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    double batchShare() const override { return batchShare_; }
    ValidationResult validate() override;
    double waitedSeconds() const override { return waited_; }
    PickleValue description() const override;
    CheckpointNames checkpointNames() const override;

  private:
    torch::Tensor shape(const Sam3dObject& object) const;

    const Recipe& recipe_;
    const ReconstructionData& data_;
    Sam3dNetwork& whole_;
    std::shared_ptr<torch::nn::Module> pair_;  ///< encoder and decoder alone
    std::vector<Sam3dObject> training_, validation_, order_;
    int epoch_ = 0;
    std::int64_t batch_ = 0;
    double waited_ = 0;
    DataParallel* ranks_ = nullptr;
    BatchShare share_;
    double batchShare_ = 1;
};

}  // namespace medseg
