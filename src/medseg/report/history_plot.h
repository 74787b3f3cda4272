// The training curves as a picture.
#pragma once

#include <filesystem>

#include "medseg/report/canvas.h"
#include "medseg/report/training_history.h"

namespace medseg {

/// Left: training and validation loss with the learning rate as a light second line (logarithmic, right axis).
/// Right: validation Dice. The best epoch is marked in both. An empty history gives empty axes.
Canvas renderTrainingHistory(const TrainingHistory& history);

/// Writes training_history.png atomically; quick enough to be called after every epoch. Throws WorkError.
void writeTrainingHistoryPlot(const std::filesystem::path& path, const TrainingHistory& history);

}  // namespace medseg
