// What a training run is about; the Trainer supplies everything else.
#pragma once

#include <cstdint>

#include <filesystem>
#include <string>

#include <torch/torch.h>

#include "medseg/io/pickle_value.h"
#include "medseg/train/data_parallel.h"
#include "medseg/train/mixed_precision.h"

namespace medseg {

struct ValidationResult {
    double loss = 0;
    double dice = 0;  ///< mean over structures, NaN when nothing could be measured
};

/// Names of the files of a run; "{}" stands for the epoch.
struct CheckpointNames {
    std::string latest = "latest.pth";
    std::string best = "best.pth";
    std::string numbered = "checkpoint_epoch{}.pth";
    std::string history = "training_history";  ///< .json and .png are added
};

class TrainingTask {
  public:
    virtual ~TrainingTask() = default;

    /// In a job of several processes: the others, before anything else is called.
    virtual void join(DataParallel& ranks) = 0;

    virtual torch::nn::Module& network() = 0;
    virtual std::int64_t batchesPerEpoch() const = 0;
    /// Starts an epoch (counted from 0) at batch `firstBatch`, which is above 0 only after a resume. The order of
    /// samples depends on seed and epoch alone.
    virtual void beginEpoch(int epoch, std::int64_t firstBatch) = 0;
    /// Loss of the next batch, a scalar with gradient; the network is in training mode.
    virtual torch::Tensor nextLoss() = 0;
    /// Samples of the last batch by the mean over ranks.
    virtual double batchShare() const { return 1; }
    /// Measures the network on the validation data; it is in evaluation mode. With several ranks, the result is that
    /// of all their samples, the same on every rank.
    virtual ValidationResult validate() = 0;
    /// Seconds in which the network waited for data since beginEpoch().
    virtual double waitedSeconds() const = 0;
    /// What every checkpoint carries besides weights and optimiser.
    virtual PickleValue description() const = 0;
    /// Adds the weights to a checkpoint: all of the network's, as "model_state_dict".
    virtual void addWeights(PickleValue& checkpoint);
    /// Restores what addWeights() wrote to `file` into the tensors that are being trained. Throws DataError.
    virtual void loadWeights(const PickleValue& checkpoint, const std::filesystem::path& file);
    virtual CheckpointNames checkpointNames() const { return {}; }
    /// In which the loss is computed; fp16 makes the trainer scale it.
    virtual ProductPrecision precision() const { return ProductPrecision::Fp32; }
    /// Draws predictions of some validation samples against their reference; the network is in evaluation mode.
    virtual void drawSamples(const std::filesystem::path& file) { static_cast<void>(file); }
};

}  // namespace medseg
