// Training of SAM 3D's structure generator: from one slice with a mask and 3D points to the latents of the whole shape.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "medseg/dataset/batch_share.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam3d/condition_cache.h"
#include "medseg/nn/sam3d/flow_loss.h"
#include "medseg/nn/sam3d/sam3d_network.h"
#include "medseg/train/reconstruction_samples.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// A sample is an object on a slice. Targets are posterior means of the frozen encoder; the loss is the flow's, with
/// optional terms on what the frozen decoder makes of the predicted latents. Every random number of a batch follows
/// from seed, epoch and batch, so that a resumed run goes on exactly.
class ReconstructionTask : public TrainingTask {
  public:
    /// `network` must have its autoencoder trained or loaded; with lora.enabled all of its weights.
    ReconstructionTask(const TrainRequest& request, Sam3dNetwork network, ReconstructionData data);

    void join(DataParallel& ranks) override;
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    double batchShare() const override { return batchShare_; }
    /// Loss on validation objects, and mean Dice of their reconstructions over labels.
    ValidationResult validate() override;
    double waitedSeconds() const override { return waited_; }
    PickleValue description() const override;
    void addWeights(PickleValue& checkpoint) override;
    void loadWeights(const PickleValue& checkpoint, const std::filesystem::path& file) override;
    CheckpointNames checkpointNames() const override;

  private:
    struct Batch {
        ConditionFeatures features;  ///< of frozen embedders
        ConditionImages images;      ///< for embedders that train
        torch::Tensor latents;       ///< (batch, tokens, channels)
        FrameTarget target;          ///< (batch, 1, grid, grid, grid); only with decoded terms of the loss
        std::vector<Sam3dObject> objects;
        std::vector<OccupancyFrame> frames;
    };
    Batch load(const std::vector<Sam3dObject>& objects, bool withTarget);
    torch::Tensor latentOf(const Sam3dObject& object, const OccupancyFrame& frame);
    torch::Tensor conditionTokens(const Batch& batch, bool training);
    torch::Tensor trainingTimes(std::int64_t count) const;
    torch::Tensor decodedTerms(const Batch& batch, const FlowLoss& flow, const torch::Tensor& t);
    torch::Tensor lossOf(const Batch& batch, bool training);
    torch::Tensor selfConsistency(const Batch& batch, const FlowCondition& condition, const FlowLoss& flow,
                                  const torch::Tensor& t);
    bool wantsDecoded() const;

    Recipe recipe_;
    Sam3dNetwork network_;
    ReconstructionData data_;
    ConditionRules rules_;
    bool trainsEmbedder_;
    ConditionCache tokens_;
    std::map<std::pair<std::size_t, int>, torch::Tensor> latents_;  ///< of case and label, in the crop frame
    std::vector<Sam3dObject> validation_;
    std::vector<Sam3dObject> order_;  ///< of this epoch
    int epoch_ = 0;
    std::int64_t batch_ = 0;
    double waited_ = 0;
    DataParallel* ranks_ = nullptr;
    BatchShare share_;
    double batchShare_ = 1;
};

}  // namespace medseg
