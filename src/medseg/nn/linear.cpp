#include "medseg/nn/linear.h"

#include <cmath>

#include "medseg/base/error.h"
#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

constexpr double kAdapterDeviation = 0.02;

}  // namespace

LinearImpl::LinearImpl(std::int64_t in, std::int64_t out, bool withBias) {
    // The initialisation of torch.nn.Linear.
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    weight = register_parameter("weight", torch::empty({out, in}).uniform_(-bound, bound));
    if (withBias) bias = register_parameter("bias", torch::empty({out}).uniform_(-bound, bound));
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x) const {
    const torch::Tensor y = linearProduct(x, weight, bias);
    if (!hasAdapter() || merged_) return y;
    const torch::Tensor input = loraDropout_ > 0 ? torch::dropout(x, loraDropout_, is_training()) : x;
    return y + loraScaling_ * linearProduct(linearProduct(input, loraA, {}), loraB, {});
}

void LinearImpl::attachAdapter(std::int64_t rank, double alpha, double dropout) {
    if (hasAdapter()) throw UsageError("this layer has an adapter already: merge it before adding another");
    loraA = register_parameter("lora_A", torch::randn({rank, weight.size(1)}, weight.options()) * kAdapterDeviation);
    loraB = register_parameter("lora_B", torch::zeros({weight.size(0), rank}, weight.options()));
    merged_ = false;
    configureAdapter(alpha, dropout);
}

void LinearImpl::configureAdapter(double alpha, double dropout) {
    unmergeAdapter();
    loraScaling_ = alpha / static_cast<double>(loraA.size(0));
    loraDropout_ = dropout;
}

void LinearImpl::removeAdapter() {
    if (!hasAdapter()) return;
    parameters_.erase("lora_A");
    parameters_.erase("lora_B");
    loraA = loraB = torch::Tensor();
    merged_ = false;
}

void LinearImpl::mergeAdapter() {
    if (!hasAdapter() || merged_) return;
    torch::NoGradGuard noGradient;
    weight.add_(torch::matmul(loraB, loraA), loraScaling_);
    merged_ = true;
}

void LinearImpl::unmergeAdapter() {
    if (!merged_) return;
    torch::NoGradGuard noGradient;
    weight.sub_(torch::matmul(loraB, loraA), loraScaling_);
    merged_ = false;
}

}  // namespace medseg
