#include "medseg/train/weight_average.h"

#include <algorithm>

#include "medseg/base/error.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {

WeightAverage::WeightAverage(const torch::nn::Module& network, double decay) : decay_(decay) {
    for (const auto& [name, tensor] : namedState(network)) averages_.emplace_back(name, tensor.detach().clone());
}

void WeightAverage::update(const torch::nn::Module& network) {
    torch::NoGradGuard noGradient;
    ++updates_;
    // A short memory at first, so that the random start is forgotten.
    const double decay =
        std::min(decay_, (1.0 + static_cast<double>(updates_)) / (10.0 + static_cast<double>(updates_)));
    const auto state = namedState(network);
    for (std::size_t i = 0; i < state.size(); ++i) {
        if (averages_[i].second.is_floating_point())
            averages_[i].second.mul_(decay).add_(state[i].second, 1 - decay);
        else
            averages_[i].second.copy_(state[i].second);
    }
}

void WeightAverage::swapWith(torch::nn::Module& network) {
    torch::NoGradGuard noGradient;
    auto state = namedState(network);
    for (std::size_t i = 0; i < state.size(); ++i) {
        const auto kept = state[i].second.clone();
        state[i].second.copy_(averages_[i].second);
        averages_[i].second.copy_(kept);
    }
}

PickleValue WeightAverage::stateDict() const {
    PickleValue state = PickleValue::dict();
    state.set("updates", updates_);
    NamedTensors tensors;
    for (const auto& [name, tensor] : averages_) tensors.emplace_back(name, toRecord(tensor));
    state.set("weights", PickleValue::stateDict(tensors));
    return state;
}

void WeightAverage::load(const PickleValue& state, const std::string& source) {
    torch::NoGradGuard noGradient;
    updates_ = state.at("updates").asInt();
    for (auto& [name, tensor] : averages_) {
        const torch::Tensor value = toTensor(state.at("weights").at(name).asTensor());
        if (value.sizes() != tensor.sizes()) throw DataError(source, "the averaged weights are of another network");
        tensor.copy_(value);
    }
}

}  // namespace medseg
