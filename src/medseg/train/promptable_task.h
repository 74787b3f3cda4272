// Training SAM and its relatives on slices with boxes, as MedSAM does (Ma et al. 2024).
#pragma once

#include <future>
#include <memory>
#include <vector>

#include "medseg/dataset/batch_share.h"
#include "medseg/dataset/prompt_slices.h"
#include "medseg/io/lora_checkpoint.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam/sam.h"
#include "medseg/train/embedding_store.h"
#include "medseg/train/training_task.h"

namespace medseg {

/// Each slice of an epoch shows one of its labels, drawn at random, and the box around it, drawn larger at random.
/// Image encoder and mask decoder learn (or the decoder alone, from kept embeddings), the prompt encoder never.
/// Validation: every label of every held-out slice with its exact box; Dice of a label is pooled over the slices.
class PromptableTask : public TrainingTask {
  public:
    /// request.cache: the folder of slices (prompt_slices.h). Builds the network (seeded by the caller), loads the
    /// starting weights and writes recipe.yaml, split.json and validation_boxes.json (Dice of the filled boxes) to
    /// request.output. Throws DataError, UsageError.
    explicit PromptableTask(const TrainRequest& request);

    void join(DataParallel& ranks) override;
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override;
    void beginEpoch(int epoch, std::int64_t firstBatch) override;
    torch::Tensor nextLoss() override;
    double batchShare() const override { return batchShare_; }
    ValidationResult validate() override;
    double waitedSeconds() const override { return waited_; }
    PickleValue description() const override;
    ProductPrecision precision() const override { return precision_; }
    void drawSamples(const std::filesystem::path& file) override;

  private:
    /// One slice with the prompt that the epoch drew for it.
    struct Sample {
        std::size_t slice = 0;
        std::vector<float> image;  ///< empty when the embedding is kept
        PromptTarget target;
    };
    using Batch = std::vector<Sample>;

    Batch readBatch(std::int64_t batch) const;
    Sample readSample(std::int64_t position) const;
    void startReading(std::int64_t batch);
    Batch takeBatch();
    bool encoderLearns() const { return recipe_.sam.train == "encoder_and_decoder"; }
    torch::Tensor imageTensor(const std::vector<float>& image) const;
    /// (1, channels, grid, grid) without gradients.
    torch::Tensor keptEmbedding(std::size_t slice, const std::vector<float>& image);
    torch::Tensor embeddingsOf(const Batch& batch);
    /// Logits at the slice's size for all labels of a slice: (labels, 1, rows, columns).
    torch::Tensor logitsOfSlice(std::size_t slice, const std::vector<PromptTarget>& targets);
    std::vector<PromptTarget> allTargets(std::size_t slice) const;
    torch::Tensor stackMasks(const std::vector<const PromptTarget*>& targets) const;
    torch::Tensor stackBoxes(const std::vector<const PromptTarget*>& targets) const;
    LoraSettings loraSettings() const;
    /// Decides what learns.
    void chooseParameters();
    void writeBoxBaseline(const std::filesystem::path& file) const;

    Recipe recipe_;
    PromptSliceFolder folder_;
    torch::Device device_;
    ProductPrecision precision_;
    Sam network_{nullptr};
    PromptSliceSplit split_;
    std::unique_ptr<EmbeddingStore> embeddings_;
    std::vector<std::size_t> order_;  ///< training slices as this epoch shows them
    int epoch_ = 0;
    std::int64_t nextBatch_ = 0;
    std::future<Batch> reading_;
    DataParallel* ranks_ = nullptr;
    BatchShare share_;
    double batchShare_ = 1;
    double waited_ = 0;
};

}  // namespace medseg
