#include "medseg/nn/linear.h"

#include <cmath>

#include "medseg/nn/matrix_product.h"

namespace medseg {

LinearImpl::LinearImpl(std::int64_t in, std::int64_t out, bool withBias) {
    // The initialisation of torch.nn.Linear.
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    weight = register_parameter("weight", torch::empty({out, in}).uniform_(-bound, bound));
    if (withBias) bias = register_parameter("bias", torch::empty({out}).uniform_(-bound, bound));
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x) const {
    return linearProduct(x, weight, bias);
}

}  // namespace medseg
