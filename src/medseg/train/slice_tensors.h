// Batches of a slice cache as network input.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/dataset/slice_cache.h"
#include "medseg/dataset/slice_loader.h"

namespace medseg {

/// The images of a batch with the wished position channels appended (see nn/coordinates.h): float (N, channels, height,
/// width) on the CPU, in memory of its own.
torch::Tensor imageTensor(SliceBatch& batch, const SliceCache& cache, const std::vector<std::string>& coordinates);

/// The labels of a batch: uint8 or int16 (N, layers, height, width) over the batch's own memory.
torch::Tensor labelTensor(SliceBatch& batch);

/// Throws DataError when the cache has other structures than a model's `labels`.
void requireSameStructures(const LabelTable& labels, const SliceCache& cache);

}  // namespace medseg
