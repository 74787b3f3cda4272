// Less memory for more work: parts of a network whose activations are computed again in the backward pass (Chen et al.
// 2016, "Training deep nets with sublinear memory cost").
#pragma once

#include <functional>

#include <torch/torch.h>

namespace medseg {

/// part(x), of which only x is kept. In the backward pass the part is evaluated again; its parameters receive their
/// gradients directly, so the pass must be started by backward(). `part` must give the same result each time (no
/// dropout) and live until then. Without gradients it is simply part(x).
torch::Tensor recomputed(const std::function<torch::Tensor(const torch::Tensor&)>& part, const torch::Tensor& x);

}  // namespace medseg
