// Where a segmentation training gets its samples from: slices for two-dimensional networks, patches of volumes for
// three-dimensional ones. The task sees tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include <torch/torch.h>

#include "medseg/nn/network_module.h"
#include "medseg/train/loss_settings.h"
#include "medseg/volume/label_map.h"

namespace medseg {

struct SegmentationBatch {
    torch::Tensor images;  ///< float (count, channels, [depth,] height, width): the image 0..1, then positions
    torch::Tensor labels;  ///< uint8 or int16 (count, layers, [depth,] height, width)
    std::int64_t count = 0;
    double share = 1;  ///< samples by the mean over the processes of the job
};

class SegmentationData {
  public:
    virtual ~SegmentationData() = default;

    virtual const LabelTable& labels() const = 0;
    /// Label layers of a sample; above 1 where structures overlap.
    virtual int layerCount() const = 0;
    /// How much of the training samples belongs to each structure.
    virtual StructureStatistics statistics() const = 0;
    /// Throws UsageError, naming the recipe's key, unless all sides of the samples are multiples of `divisor`.
    virtual void requireDivisible(int divisor) const = 0;
    virtual void writeSplit(const std::filesystem::path& file) const = 0;

    /// From now on batches and validation samples are those of one process of a job: see BatchShare.
    virtual void share(int shard, int shards) = 0;

    virtual std::int64_t batchesPerEpoch() const = 0;
    /// Order and content of the batches depend on seed and epoch alone.
    virtual void startEpoch(std::uint64_t epoch, std::int64_t firstBatch) = 0;
    /// Throws WorkError when the epoch is over.
    virtual SegmentationBatch nextTraining() = 0;
    /// Seconds that nextTraining() has waited for data so far.
    virtual double waitedSeconds() const = 0;

    virtual bool hasValidation() const = 0;
    virtual void startValidation() = 0;
    /// Each validation pixel once (in one of the processes); nothing at the end.
    virtual std::optional<SegmentationBatch> nextValidation() = 0;

    /// Label ids (int16, bit pattern unsigned, on the CPU) that the network predicts: (count, [depth,] height, width).
    using Predictor = std::function<torch::Tensor(const torch::Tensor& images)>;
    /// Draws a few validation samples: image, reference and prediction. Nothing without validation.
    virtual void drawSamples(const Predictor& predict, const std::filesystem::path& file) = 0;
};

/// Opens what the recipe's model needs and splits it. Throws DataError and UsageError.
std::unique_ptr<SegmentationData> openSegmentationData(const TrainRequest& request);

}  // namespace medseg
