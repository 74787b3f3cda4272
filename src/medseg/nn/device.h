// Where a network runs.
#pragma once

#include <string>

#include <torch/torch.h>

namespace medseg {

/// "cpu", "cuda" or "cuda:N". Throws UsageError for another name, or when this libtorch sees no such device.
torch::Device deviceFromName(const std::string& name);

}  // namespace medseg
