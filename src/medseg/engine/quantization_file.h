// quantization.json: the calibration that belongs to a checkpoint, kept beside it.
#pragma once

#include <filesystem>

#include "medseg/engine/plan.h"

namespace medseg {

/// quantization.json in the folder of `checkpoint`.
std::filesystem::path quantizationFile(const std::filesystem::path& checkpoint);

/// Writes `ranges` with the checkpoint's name and hash. Throws WorkError.
void writeQuantization(const std::filesystem::path& checkpoint, const ActivationRanges& ranges);

/// Throws UsageError when there is none (with the command that makes one), DataError when it is damaged or was made for
/// another state of the checkpoint.
ActivationRanges readQuantization(const std::filesystem::path& checkpoint);

}  // namespace medseg
