// One trained network on batches of prepared slices, on the engine or on libtorch.
#pragma once

#include <memory>
#include <vector>

#include "medseg/engine/plan.h"
#include "medseg/nn/model_file.h"

namespace medseg {

class SliceNetwork {
  public:
    /// On the CPU networks that the engine knows run there; others, and all on a GPU, run on libtorch (fp32 or bf16).
    /// Throws UsageError when the precision cannot be had.
    SliceNetwork(const LoadedModel& model, const torch::Device& device, Precision precision, std::int64_t batch);

    /// images: (count, height, width, input channels), count <= batch; returns logits (count, height, width, outputs),
    /// dense, float, on the CPU.
    torch::Tensor logits(const torch::Tensor& images);

  private:
    torch::Tensor onLibtorch(const torch::Tensor& images);
    torch::Tensor onEngine(const torch::Tensor& images);

    UNet network_;
    torch::Device device_;
    Precision precision_;
    std::int64_t batch_;
    std::unique_ptr<Plan> plan_;
};

}  // namespace medseg
