// Half-precision arithmetic where it pays: autocast, and loss scaling for fp16 (Micikevicius et al. 2018).
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/autocast.h"

namespace medseg {

/// "auto": bf16 on CUDA devices that have it (compute capability 8), fp16 on older ones, fp32 on the CPU.
/// `bf16OnCpu`: the network's products are of those that an AutocastScope moves to bf16 on CPUs that multiply it.
/// Throws UsageError for half precision on any other CPU or network there.
ProductPrecision precisionFromName(const std::string& name, const torch::Device& device, bool bf16OnCpu = false);

/// Keeps small gradients above fp16's smallest number: the loss is multiplied before the backward pass, the gradients
/// divided after it. Halves the factor and skips the step when a gradient overflows, doubles it after 2000 good steps
/// (as torch.cuda.amp.GradScaler). Does nothing unless the precision is fp16.
class LossScale {
  public:
    explicit LossScale(ProductPrecision precision) : active_(precision == ProductPrecision::Fp16) {}

    torch::Tensor scaled(const torch::Tensor& loss) const { return active_ ? loss * factor_ : loss; }
    /// Divides the gradients. False: one is not finite, the step must be skipped.
    bool unscale(const std::vector<torch::Tensor>& parameters);

    double factor() const { return factor_; }
    int goodSteps() const { return goodSteps_; }
    void setState(double factor, int goodSteps) {
        factor_ = factor;
        goodSteps_ = goodSteps;
    }

  private:
    bool active_;
    double factor_ = 65536;
    int goodSteps_ = 0;
};

}  // namespace medseg
