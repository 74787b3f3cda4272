// The number format in which a forward pass multiplies.
#pragma once

#include <string>

#include <torch/torch.h>

namespace medseg {

/// Number format of convolutions and matrix products; weights, sums and optimiser stay fp32.
enum class ProductPrecision { Fp32, Bf16, Fp16 };

/// While it lives, this thread's forward passes multiply in `precision`: on CUDA all of torch's operations that
/// tolerate it; on the CPU, bf16 only, the fused layers of the U-Net (fused_layers.h) and linear layers
/// (linearProduct()), while everything else computes in fp32.
class AutocastScope {
  public:
    AutocastScope(ProductPrecision precision, torch::Device device);
    ~AutocastScope();
    AutocastScope(const AutocastScope&) = delete;
    AutocastScope& operator=(const AutocastScope&) = delete;

  private:
    bool cuda_;
    bool bf16Before_;
};

/// A factor of a product on this thread: `x` in bf16 in an AutocastScope for the CPU that asks for it, else as it is.
torch::Tensor inAutocastPrecision(const torch::Tensor& x);

/// "fp32" or "bf16", as a user asks for. Throws UsageError for other names, and for bf16 on a CPU without its
/// arithmetic.
ProductPrecision productPrecisionFromName(const std::string& name, const torch::Device& device);

/// Whether this CPU multiplies bf16 numbers by itself (AVX512-BF16 or AMX); without, bf16 would be slower than fp32.
bool cpuMultipliesBf16();

}  // namespace medseg
