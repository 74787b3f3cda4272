#include "medseg/nn/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <fmt/format.h>
#include <dnnl.hpp>

#include "medseg/base/error.h"

namespace medseg {
namespace {

thread_local bool multipliesInBf16 = false;

/// torch 2.4 names the device; before, these functions meant CUDA.
void setCudaAutocast(bool enabled) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_enabled(at::kCUDA, enabled);
#else
    at::autocast::set_enabled(enabled);
#endif
}

void setCudaAutocastType(at::ScalarType type) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_dtype(at::kCUDA, type);
#else
    at::autocast::set_autocast_gpu_dtype(type);
#endif
}

}  // namespace

AutocastScope::AutocastScope(ProductPrecision precision, torch::Device device)
    : cuda_(precision != ProductPrecision::Fp32 && device.is_cuda()), bf16Before_(multipliesInBf16) {
    multipliesInBf16 = precision == ProductPrecision::Bf16 && device.is_cpu();
    if (!cuda_) return;
    setCudaAutocastType(precision == ProductPrecision::Bf16 ? torch::kBFloat16 : torch::kHalf);
    setCudaAutocast(true);
    at::autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
    multipliesInBf16 = bf16Before_;
    if (!cuda_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    setCudaAutocast(false);
}

torch::Tensor inAutocastPrecision(const torch::Tensor& x) {
    return multipliesInBf16 && x.is_cpu() ? x.to(torch::kBFloat16) : x;
}

ProductPrecision productPrecisionFromName(const std::string& name, const torch::Device& device) {
    if (name == "fp32") return ProductPrecision::Fp32;
    if (name != "bf16") throw UsageError(fmt::format("precision {} is not for this network: use fp32 or bf16", name));
    if (device.is_cpu() && !cpuMultipliesBf16())
        throw UsageError("precision bf16: this CPU has no bf16 arithmetic (AVX512-BF16, AMX): use fp32");
    return ProductPrecision::Bf16;
}

bool cpuMultipliesBf16() {
    const auto isa = dnnl::get_effective_cpu_isa();
    return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

}  // namespace medseg
