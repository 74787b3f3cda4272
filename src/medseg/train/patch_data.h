// Training patches of a volume cache.
#pragma once

#include <memory>
#include <vector>

#include "medseg/dataset/patch_loader.h"
#include "medseg/dataset/split.h"
#include "medseg/dataset/volume_cache.h"
#include "medseg/train/segmentation_data.h"

namespace medseg {

/// Training: patches drawn anew in every epoch. Validation: patches side by side that cover the validation cases once,
/// so that its Dice is that of whole volumes but for what lies at the borders of patches.
class PatchData : public SegmentationData {
  public:
    /// Throws UsageError for settings that are for slices only (split by slice, train.oversample), DataError when the
    /// cache was prepared with another spacing or window than the recipe's.
    explicit PatchData(const TrainRequest& request);

    const LabelTable& labels() const override { return cache_.labels(); }
    int layerCount() const override { return cache_.layerCount(); }
    /// Of whole volumes: "slices" are cases.
    StructureStatistics statistics() const override;
    void requireDivisible(int divisor) const override;
    void writeSplit(const std::filesystem::path& file) const override;

    void share(int shard, int shards) override { openLoaders(shard, shards); }

    std::int64_t batchesPerEpoch() const override { return trainLoader_->batchesPerEpoch(); }
    void startEpoch(std::uint64_t epoch, std::int64_t firstBatch) override;
    SegmentationBatch nextTraining() override;
    double waitedSeconds() const override { return trainLoader_->waitedSeconds(); }

    bool hasValidation() const override { return !validationCases_.empty(); }
    void startValidation() override;
    std::optional<SegmentationBatch> nextValidation() override;

    void drawSamples(const Predictor& predict, const std::filesystem::path& file) override;

  private:
    SegmentationBatch toTensors(PatchBatch batch) const;
    PatchLoaderSettings loaderSettings() const;
    void openLoaders(int shard, int shards);

    Recipe recipe_;
    VolumeCache cache_;
    CaseSplit split_;
    Index3 patch_{};
    std::vector<std::int64_t> trainCases_, validationCases_;
    std::unique_ptr<PatchLoader> trainLoader_;
    std::unique_ptr<PatchLoader> validationLoader_;  ///< none where no patch is left to validate
};

}  // namespace medseg
