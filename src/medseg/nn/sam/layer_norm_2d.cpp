#include "medseg/nn/sam/layer_norm_2d.h"

namespace medseg {

LayerNorm2dImpl::LayerNorm2dImpl(std::int64_t channels, double eps) : eps_(eps) {
    weight = register_parameter("weight", torch::ones({channels}));
    bias = register_parameter("bias", torch::zeros({channels}));
}

torch::Tensor LayerNorm2dImpl::forward(const torch::Tensor& x) {
    // Channels last: the normalised axis is then contiguous, which torch's fused kernel wants.
    return torch::layer_norm(x.permute({0, 2, 3, 1}), {weight.size(0)}, weight, bias, eps_).permute({0, 3, 1, 2});
}

}  // namespace medseg
