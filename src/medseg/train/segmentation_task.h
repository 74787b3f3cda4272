// Training a slice segmentation network on a slice cache.
#pragma once

#include <memory>

#include "medseg/dataset/slice_cache.h"
#include "medseg/dataset/slice_loader.h"
#include "medseg/nn/model_file.h"
#include "medseg/nn/network_module.h"
#include "medseg/train/loss_settings.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// Task of the U-Net family: structures as sigmoid or softmax outputs, loss from the recipe, Dice pooled over the
/// validation slices per structure.
class SegmentationTask : public TrainingTask {
  public:
    /// Opens the cache, splits it, builds the network (seeded by the caller) and writes label_map.json, split.json and
    /// recipe.yaml to request.output. Throws DataError when no slice is left to train on or the image size does not
    /// fit.
    explicit SegmentationTask(const TrainRequest& request);

    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    ValidationResult validate() override;
    double waitedSeconds() const override;
    PickleValue description() const override;
    TrainingPrecision precision() const override { return precision_; }
    void drawSamples(const std::filesystem::path& file) override;

  private:
    struct Batch {
        torch::Tensor images;  ///< float (batch, channels, height, width)
        torch::Tensor labels;  ///< uint8 or int16 (batch, layers, height, width)
    };
    /// The label tensor may view the batch's memory.
    Batch toTensors(SliceBatch& batch) const;
    std::vector<torch::Tensor> forwardAll(const torch::Tensor& images);
    torch::Tensor forward(const torch::Tensor& images);
    void initialisePriorBias(const StructureStatistics& statistics);

    Recipe recipe_;
    SliceCache cache_;
    torch::Device device_;
    OutputKind output_;
    TrainingPrecision precision_;
    SegmentationLossOptions loss_;
    UNet network_{nullptr};
    std::vector<std::int64_t> trainSlices_;
    std::vector<std::int64_t> validationSlices_;
    double waitedBefore_ = 0;  ///< loader's count at the start of the epoch
    std::unique_ptr<SliceLoader> trainLoader_;
    std::unique_ptr<SliceLoader> validationLoader_;
};

}  // namespace medseg
