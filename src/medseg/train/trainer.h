// The training loop, written once for every task.
#pragma once

#include <chrono>
#include <filesystem>
#include <vector>

#include "medseg/nn/network_module.h"
#include "medseg/report/training_history.h"
#include "medseg/train/data_parallel.h"
#include "medseg/train/event_file.h"
#include "medseg/train/gradient_average.h"
#include "medseg/train/learning_rate.h"
#include "medseg/train/mixed_precision.h"
#include "medseg/train/optimizer.h"
#include "medseg/train/training_task.h"
#include "medseg/train/weight_average.h"

namespace medseg {

/// Owns device, step, clipping, schedule, early stopping, validation, checkpoints, history, clean stop and exact
/// resume. Files in `output` (a task may name them otherwise): latest.pth (after every epoch and on Ctrl-C, with
/// optimiser), best.pth, checkpoint_epochX.pth, training_history.json and .png, events/ for TensorBoard,
/// samples/epochX.png. A run that was cut off and resumed ends with bit-identical weights on a CPU with the same number
/// of threads.
class Trainer {
  public:
    /// `settings` is copied; `task` must outlive the trainer, and so must `ranks`: the other processes of the job,
    /// which train on their share of every batch (the task has joined them). Weights are the same on all of them after
    /// every step; running statistics of batch norm, which each gathers from its own share, are averaged after every
    /// epoch. Only the first rank writes files.
    Trainer(const TrainSettings& settings, TrainingTask& task, std::filesystem::path output,
            DataParallel* ranks = nullptr);

    /// Continues from `checkpoint`, if given, else from output/latest.pth when `resume` and it exists. Throws
    /// InterruptedError after Ctrl-C (state saved), WorkError when the loss is not finite (batch named, last good
    /// checkpoint kept) or a file cannot be written.
    TrainOutcome run(bool resume, const std::filesystem::path& checkpoint = {});

  private:
    using Clock = std::chrono::steady_clock;

    void trainEpoch();
    /// Up to train.accumulate batches and one step of the optimiser.
    void trainStep(std::int64_t batches);
    double batchLoss(std::int64_t share);
    std::string progressNote() const;
    void validateEpoch(EpochRecord& record);
    void finishEpoch(const EpochRecord& record, bool improved);
    bool shouldStopEarly() const;
    PickleValue checkpoint(bool withOptimizer);
    void saveLatest();
    void saveNumbered();
    void load(const std::filesystem::path& file);
    StepPosition position() const;
    double currentRate() const;
    bool writes() const { return ranks_ == nullptr || ranks_->isFirst(); }
    bool stopRequested();
    void averageStatistics();

    TrainSettings settings_;
    TrainingTask& task_;
    std::filesystem::path output_;
    CheckpointNames names_;
    LearningRate learningRate_;
    Optimizer optimizer_;
    std::unique_ptr<WeightAverage> average_;
    std::vector<torch::Tensor> parameters_;
    LossScale lossScale_;
    DataParallel* ranks_;
    std::unique_ptr<GradientAverage> gradientAverage_;
    std::unique_ptr<EventFile> events_;

    // Progress; everything from here on is in the checkpoint.
    int epoch_ = 0;            ///< finished epochs
    std::int64_t batch_ = 0;   ///< finished batches of the current epoch
    double lossSum_ = 0;       ///< over these batches
    double epochSeconds_ = 0;  ///< spent on the current epoch before an interruption
    int bestEpoch_ = 0;
    double bestDice_ = -1;
    int validationsSinceBest_ = 0;
    TrainingHistory history_;
};

}  // namespace medseg
