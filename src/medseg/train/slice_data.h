// Training slices of a slice cache.
#pragma once

#include <memory>
#include <vector>

#include "medseg/dataset/slice_cache.h"
#include "medseg/dataset/slice_loader.h"
#include "medseg/dataset/split.h"
#include "medseg/train/segmentation_data.h"

namespace medseg {

class SliceData : public SegmentationData {
  public:
    explicit SliceData(const TrainRequest& request);

    const LabelTable& labels() const override { return cache_.labels(); }
    int layerCount() const override { return cache_.layerCount(); }
    StructureStatistics statistics() const override { return structureStatistics(cache_, split_.training); }
    void requireDivisible(int divisor) const override;
    void writeSplit(const std::filesystem::path& file) const override;

    void share(int shard, int shards) override { openLoaders(shard, shards); }

    std::int64_t batchesPerEpoch() const override { return trainLoader_->batchesPerEpoch(); }
    void startEpoch(std::uint64_t epoch, std::int64_t firstBatch) override;
    SegmentationBatch nextTraining() override;
    double waitedSeconds() const override { return trainLoader_->waitedSeconds(); }

    bool hasValidation() const override { return !split_.validation.empty(); }
    void startValidation() override;
    std::optional<SegmentationBatch> nextValidation() override;

    void drawSamples(const Predictor& predict, const std::filesystem::path& file) override;

  private:
    SegmentationBatch toTensors(SliceBatch batch) const;
    void openLoaders(int shard, int shards);

    Recipe recipe_;
    SliceCache cache_;
    SliceSplit split_;
    std::unique_ptr<SliceLoader> trainLoader_;
    std::unique_ptr<SliceLoader> validationLoader_;  ///< none where no slice is left to validate
};

}  // namespace medseg
