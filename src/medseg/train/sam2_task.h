// Fine-tuning SAM 2 with box prompts on slices, as MedSAM2 (2024, Ma et al.).
#pragma once

#include <future>
#include <memory>
#include <vector>

#include "medseg/dataset/batch_share.h"
#include "medseg/dataset/prompt_slices.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam2/sam2.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// The prompt encoder and the memory keep their weights. Each sample is a slice with one of its labels, drawn at
/// random, and that label's box with sides moved at random; the loss is Dice + BCE of the low-resolution mask. On the
/// validation slices every label is prompted with its box, moved outwards by the full shift; Dice is pooled over the
/// slices, per label.
class Sam2Task : public TrainingTask {
  public:
    /// request.cache: folder that `medseg prepare --form medsam2 --npy` wrote (its npy folder or the one above). Writes
    /// label_map.json, split.json and recipe.yaml to request.output. Throws DataError for files that do not fit,
    /// UsageError for settings that do not.
    explicit Sam2Task(const TrainRequest& request);

    void join(DataParallel& ranks) override;
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    double batchShare() const override { return batchShare_; }
    ValidationResult validate() override;
    double waitedSeconds() const override { return waited_; }
    PickleValue description() const override;

  private:
    struct Batch {
        torch::Tensor images;   ///< (batch, slices, 3, side, side), normalised
        torch::Tensor targets;  ///< (batch, slices, 1, low, low), 0 or 1
        torch::Tensor boxes;    ///< (batch, 4), network pixels: of the first slice
    };
    /// Labels of one validation slice as prompts.
    struct PromptedSlice {
        std::vector<int> labels;
        torch::Tensor boxes;    ///< (labels, 4), network pixels
        torch::Tensor targets;  ///< (labels, 1, low, low)
    };

    Batch loadBatch(std::int64_t batch) const;
    void startLoading(std::int64_t batch);
    /// `start` and the training slices that follow it in its case, up or down; the last one again where they end.
    std::vector<std::size_t> clipFrom(std::size_t start, Random& random) const;
    torch::Tensor inputOf(std::size_t slice) const;
    torch::Tensor boxTensor(const std::array<double, 4>& box) const;
    torch::Tensor maskTensor(const std::vector<std::uint8_t>& mask) const;
    PromptedSlice promptsOf(std::size_t slice) const;
    torch::Tensor promptedLogits(std::size_t slice, const PromptedSlice& prompts);
    void writeRunFiles(const std::filesystem::path& output) const;

    Recipe recipe_;
    PromptSliceFolder folder_;
    PromptSliceSplit split_;
    LabelTable labels_;
    torch::Device device_;
    Sam2 network_{nullptr};
    std::vector<std::size_t> order_;  ///< slices of the epoch
    int epoch_ = 0;
    std::int64_t nextBatch_ = 0;
    std::future<Batch> loading_;  ///< the batch after the current one
    double waited_ = 0;
    DataParallel* ranks_ = nullptr;
    BatchShare share_;
    double batchShare_ = 1;
};

}  // namespace medseg
