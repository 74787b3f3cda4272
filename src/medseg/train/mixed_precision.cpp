#include "medseg/train/mixed_precision.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

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

/// Whether the device multiplies bf16 matrices: asked by doing it, which needs no CUDA header.
bool multipliesBf16(const torch::Device& device) {
    try {
        const auto a = torch::ones({16, 16}, torch::TensorOptions(torch::kBFloat16).device(device));
        return a.matmul(a).sum().item<double>() > 0;
    } catch (const c10::Error&) {
        return false;
    }
}

}  // namespace

TrainingPrecision precisionFromName(const std::string& name, const torch::Device& device) {
    if (name == "fp32") return TrainingPrecision::Fp32;
    if (!device.is_cuda()) {
        if (name == "auto") return TrainingPrecision::Fp32;
        throw UsageError(
            fmt::format("train.precision {} needs device: cuda; use auto or fp32 on the CPU, where half "
                        "precision is slower",
                        name));
    }
    if (name == "bf16") return TrainingPrecision::Bf16;
    if (name == "fp16") return TrainingPrecision::Fp16;
    return multipliesBf16(device) ? TrainingPrecision::Bf16 : TrainingPrecision::Fp16;
}

AutocastScope::AutocastScope(TrainingPrecision precision) : active_(precision != TrainingPrecision::Fp32) {
    if (!active_) return;
    setCudaAutocastType(precision == TrainingPrecision::Bf16 ? torch::kBFloat16 : torch::kHalf);
    setCudaAutocast(true);
    at::autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
    if (!active_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    setCudaAutocast(false);
}

bool LossScale::unscale(const std::vector<torch::Tensor>& parameters) {
    if (!active_) return true;
    torch::NoGradGuard noGradient;
    bool finite = true;
    for (const torch::Tensor& parameter : parameters) {
        torch::Tensor gradient = parameter.grad();
        if (!gradient.defined()) continue;
        gradient.mul_(1 / factor_);
        finite = finite && torch::isfinite(gradient).all().item<bool>();
    }
    if (!finite) {
        factor_ = std::max(1.0, factor_ / 2);
        goodSteps_ = 0;
        return false;
    }
    constexpr int kGrowthInterval = 2000;
    if (++goodSteps_ >= kGrowthInterval) {
        factor_ *= 2;
        goodSteps_ = 0;
    }
    return true;
}

}  // namespace medseg
