#include "medseg/train/mixed_precision.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

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

ProductPrecision precisionFromName(const std::string& name, const torch::Device& device, bool bf16OnCpu) {
    if (name == "fp32") return ProductPrecision::Fp32;
    if (!device.is_cuda()) {
        if (name == "auto") return ProductPrecision::Fp32;
        if (name == "fp16")
            throw UsageError("train.precision fp16 needs device: cuda; use bf16, auto or fp32 on the CPU");
        if (!bf16OnCpu)
            throw UsageError(
                "train.precision bf16 on the CPU is for SAM and for two-dimensional U-Nets with model.norm: batch: use "
                "auto or fp32");
        if (!cpuMultipliesBf16())
            throw UsageError(
                "train.precision bf16: this CPU has no bf16 arithmetic (AVX512-BF16, AMX): use auto or fp32");
        return ProductPrecision::Bf16;
    }
    if (name == "bf16") return ProductPrecision::Bf16;
    if (name == "fp16") return ProductPrecision::Fp16;
    return multipliesBf16(device) ? ProductPrecision::Bf16 : ProductPrecision::Fp16;
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
