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

}  // namespace medseg
