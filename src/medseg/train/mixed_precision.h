// Half-precision arithmetic where it pays: autocast, and loss scaling for fp16 (Micikevicius et al. 2018).
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

namespace medseg {

/// Number format of convolutions and matrix products.
enum class TrainingPrecision { Fp32, Bf16, Fp16 };

/// "auto": bf16 on CUDA devices that have it (compute capability 8), fp16 on older ones, fp32 on the CPU, where half
/// precision is slower. Throws UsageError for half precision on a CPU.
TrainingPrecision precisionFromName(const std::string& name, const torch::Device& device);

/// While it lives, torch runs the operations that tolerate it in `precision` on CUDA.
class AutocastScope {
  public:
    explicit AutocastScope(TrainingPrecision precision);
    ~AutocastScope();
    AutocastScope(const AutocastScope&) = delete;
    AutocastScope& operator=(const AutocastScope&) = delete;

  private:
    bool active_;
};

/// Keeps small gradients above fp16's smallest number: the loss is multiplied before the backward pass, the gradients
/// divided after it. Halves the factor and skips the step when a gradient overflows, doubles it after 2000 good steps
/// (as torch.cuda.amp.GradScaler). Does nothing unless the precision is fp16.
class LossScale {
  public:
    explicit LossScale(TrainingPrecision precision) : active_(precision == TrainingPrecision::Fp16) {}

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
