#include "medseg/train/optimizer.h"

#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr double kAdamEpsilon = 1e-8;

}  // namespace

Optimizer::Optimizer(const TrainSettings& settings, std::vector<torch::Tensor> parameters)
    : settings_(settings), parameters_(std::move(parameters)), moments_(parameters_.size()) {}

void Optimizer::zeroGradients() {
    for (auto& parameter : parameters_) parameter.mutable_grad() = torch::Tensor();
}

double Optimizer::clipGradients(double limit) {
    double squared = 0;
    for (const auto& parameter : parameters_)
        if (parameter.grad().defined()) {
            const double norm = parameter.grad().norm().item<double>();
            squared += norm * norm;
        }
    const double norm = std::sqrt(squared);
    if (limit > 0 && norm > limit) {
        const double factor = limit / (norm + 1e-6);
        for (auto& parameter : parameters_)
            if (parameter.grad().defined()) parameter.mutable_grad().mul_(factor);
    }
    return norm;
}

void Optimizer::step(double learningRate) {
    torch::NoGradGuard noGradient;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        if (!parameters_[i].grad().defined()) continue;
        if (settings_.optimizer == "sgd")
            stepSgd(parameters_[i], parameters_[i].grad(), moments_[i], learningRate);
        else
            stepAdam(parameters_[i], parameters_[i].grad(), moments_[i], learningRate);
    }
}

void Optimizer::stepAdam(torch::Tensor& parameter, const torch::Tensor& gradient, Moments& moments,
                         double learningRate) {
    if (!moments.first.defined()) {
        moments.first = torch::zeros_like(parameter);
        moments.second = torch::zeros_like(parameter);
    }
    const auto [beta1, beta2] = settings_.betas;
    ++moments.steps;
    torch::Tensor g = gradient;
    if (settings_.weightDecay != 0) {
        if (settings_.optimizer == "adam")
            g = g.add(parameter, settings_.weightDecay);
        else if (parameter.dim() > 1 || settings_.decayAll)  // by default for weights, not for biases and norms
            parameter.mul_(1 - learningRate * settings_.weightDecay);
    }
    moments.first.mul_(beta1).add_(g, 1 - beta1);
    moments.second.mul_(beta2).addcmul_(g, g, 1 - beta2);
    const double correction1 = 1 - std::pow(beta1, static_cast<double>(moments.steps));
    const double correction2 = 1 - std::pow(beta2, static_cast<double>(moments.steps));
    const auto denominator = moments.second.sqrt().div_(std::sqrt(correction2)).add_(kAdamEpsilon);
    parameter.addcdiv_(moments.first, denominator, -learningRate / correction1);
}

void Optimizer::stepSgd(torch::Tensor& parameter, const torch::Tensor& gradient, Moments& moments,
                        double learningRate) {
    torch::Tensor g = gradient;
    if (settings_.weightDecay != 0) g = g.add(parameter, settings_.weightDecay);
    ++moments.steps;
    if (moments.first.defined())
        moments.first.mul_(settings_.momentum).add_(g);
    else
        moments.first = g.clone();
    parameter.add_(g.add(moments.first, settings_.momentum), -learningRate);
}

PickleValue Optimizer::stateDict(double learningRate) const {
    const bool adam = settings_.optimizer != "sgd";
    PickleValue state = PickleValue::dict();
    PickleValue indices = PickleValue::list();
    for (std::size_t i = 0; i < moments_.size(); ++i) {
        indices.append(static_cast<std::int64_t>(i));
        const Moments& moments = moments_[i];
        if (!moments.first.defined()) continue;
        PickleValue entry = PickleValue::dict();
        if (adam) {
            // torch keeps the step count as a float32 tensor.
            entry.set("step", toRecord(torch::full({}, static_cast<double>(moments.steps), torch::kFloat)));
            entry.set("exp_avg", toRecord(moments.first));
            entry.set("exp_avg_sq", toRecord(moments.second));
        } else {
            entry.set("momentum_buffer", toRecord(moments.first));
        }
        state.set(static_cast<std::int64_t>(i), std::move(entry));
    }
    PickleValue group = PickleValue::dict();
    group.set("lr", learningRate);
    group.set("weight_decay", settings_.weightDecay);
    if (adam) {
        group.set("betas", PickleValue::tuple({settings_.betas[0], settings_.betas[1]}));
        group.set("eps", kAdamEpsilon);
        group.set("amsgrad", false);
    } else {
        group.set("momentum", settings_.momentum);
        group.set("dampening", 0);
        group.set("nesterov", true);
    }
    group.set("maximize", false);
    group.set("foreach", PickleValue());
    group.set("params", std::move(indices));
    PickleValue result = PickleValue::dict();
    result.set("state", std::move(state));
    result.set("param_groups", PickleValue::list({std::move(group)}));
    return result;
}

void Optimizer::loadStateDict(const PickleValue& dict, const std::string& source) {
    for (const auto& [key, entry] : dict.at("state").entries()) {
        const auto index = static_cast<std::size_t>(key.asInt());
        if (index >= parameters_.size()) throw DataError(source, "the optimiser state is of another network");
        Moments& moments = moments_[index];
        const auto load = [&](const char* name) {
            torch::Tensor tensor = toTensor(entry.at(name).asTensor());
            if (tensor.sizes() != parameters_[index].sizes())
                throw DataError(source, "the optimiser state is of another network");
            auto placed = torch::zeros_like(parameters_[index]);
            placed.copy_(tensor);
            return placed;
        };
        if (settings_.optimizer == "sgd") {
            moments.first = load("momentum_buffer");
        } else {
            moments.steps = static_cast<std::int64_t>(toTensor(entry.at("step").asTensor()).item<double>());
            moments.first = load("exp_avg");
            moments.second = load("exp_avg_sq");
        }
    }
}

}  // namespace medseg
