#include "medseg/nn/sam/mlp.h"

namespace medseg {

torch::Tensor activate(const torch::Tensor& x, Activation activation) {
    return activation == Activation::Relu ? torch::relu(x) : torch::gelu(x);
}

LayeredMlpImpl::LayeredMlpImpl(std::int64_t in, std::int64_t hidden, std::int64_t out, int count, bool sigmoid,
                               Activation activation)
    : sigmoid_(sigmoid), activation_(activation) {
    layers = register_module("layers", torch::nn::ModuleList());
    for (int i = 0; i < count; ++i) layers->push_back(Linear(i == 0 ? in : hidden, i + 1 == count ? out : hidden));
}

torch::Tensor LayeredMlpImpl::forward(torch::Tensor x) const {
    for (std::size_t i = 0; i < layers->size(); ++i) {
        x = layers->ptr<LinearImpl>(i)->forward(x);
        if (i + 1 < layers->size()) x = activate(x, activation_);
    }
    return sigmoid_ ? torch::sigmoid(x) : x;
}

MlpBlockImpl::MlpBlockImpl(std::int64_t width, std::int64_t hidden, Activation activation) : activation_(activation) {
    lin1 = register_module("lin1", Linear(width, hidden));
    lin2 = register_module("lin2", Linear(hidden, width));
}

torch::Tensor MlpBlockImpl::forward(const torch::Tensor& x) const {
    return lin2->forward(activate(lin1->forward(x), activation_));
}

}  // namespace medseg
