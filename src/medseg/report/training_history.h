// What a training run has reached so far, epoch by epoch, and its file training_history.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

namespace medseg {

struct EpochRecord {
    int epoch = 0;  ///< counted from 1
    double trainLoss = 0;
    /// NaN in epochs without validation.
    double validationLoss = std::numeric_limits<double>::quiet_NaN();
    /// Mean Dice of the validation set, 0..1; NaN without validation.
    double validationDice = std::numeric_limits<double>::quiet_NaN();
    double learningRate = 0;  ///< during this epoch
    double seconds = 0;       ///< wall-clock time of the epoch, validation included
    /// Part of the training time (0..1) in which the network waited for data; NaN where it was not measured.
    double idleShare = std::numeric_limits<double>::quiet_NaN();
};

struct TrainingHistory {
    std::vector<EpochRecord> epochs;  ///< ascending epoch

    /// The epoch with the highest validation Dice (the first of equals), else with the lowest validation loss; none
    /// without validation.
    std::optional<EpochRecord> best() const;
};

/// Reads the lists `epochs`, `train_loss`, `val_loss`, `val_dice`, `learning_rate`, `epoch_seconds`, `idle_share` of
/// equal length; null stands for NaN. Only `train_loss` is required, and unknown keys are ignored, so that histories
/// written by other programs as a dictionary of lists load too (`lr` is understood as `learning_rate`). Throws
/// DataError.
TrainingHistory readTrainingHistory(const std::filesystem::path& path);

/// Writes the file atomically, values in full precision. Throws WorkError.
void writeTrainingHistory(const std::filesystem::path& path, const TrainingHistory& history);

}  // namespace medseg
