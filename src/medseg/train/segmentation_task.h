// Training a U-Net on slices or on patches of volumes.
#pragma once

#include <memory>

#include "medseg/nn/model_file.h"
#include "medseg/nn/network_module.h"
#include "medseg/train/loss_settings.h"
#include "medseg/train/segmentation_data.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// Task of the U-Net family in two and three dimensions: structures as sigmoid or softmax outputs, loss from the
/// recipe, Dice pooled over the validation samples per structure.
class SegmentationTask : public TrainingTask {
  public:
    /// Opens the prepared data, splits them, builds the network (seeded by the caller) and writes label_map.json,
    /// split.json and recipe.yaml to request.output. Throws UsageError when nothing is left to train on or the size of
    /// the samples does not fit the network.
    explicit SegmentationTask(const TrainRequest& request);

    void join(DataParallel& ranks) override;
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    double batchShare() const override { return batchShare_; }
    ValidationResult validate() override;
    double waitedSeconds() const override;
    PickleValue description() const override;
    ProductPrecision precision() const override { return precision_; }
    void drawSamples(const std::filesystem::path& file) override;

  private:
    /// The batch on the device, in the memory format that convolutions like.
    SegmentationBatch onDevice(SegmentationBatch batch) const;
    std::vector<torch::Tensor> forwardAll(const torch::Tensor& images);
    torch::Tensor forward(const torch::Tensor& images);
    void initialisePriorBias(const StructureStatistics& statistics);

    Recipe recipe_;
    std::unique_ptr<SegmentationData> data_;
    torch::Device device_;
    OutputKind output_;
    ProductPrecision precision_;
    SegmentationLossOptions loss_;
    UNet network_{nullptr};
    DataParallel* ranks_ = nullptr;
    double batchShare_ = 1;
    double waitedBefore_ = 0;  ///< the data's count at the start of the epoch
};

}  // namespace medseg
