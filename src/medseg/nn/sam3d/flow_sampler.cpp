#include "medseg/nn/sam3d/flow_sampler.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

FlowSampling FlowSampling::distilled() {
    FlowSampling sampling;
    sampling.steps = 2;
    sampling.rescale = 1;
    sampling.guidance = 0;
    sampling.shortcut = true;
    return sampling;
}

std::vector<double> samplerTimes(int steps, double rescale) {
    if (steps < 1) throw UsageError(fmt::format("{} sampling steps: at least 1 is needed", steps));
    std::vector<double> times;
    for (int i = 0; i <= steps; ++i) {
        const double u = static_cast<double>(i) / steps;
        times.push_back(u / (1 + (rescale - 1) * (1 - u)));
    }
    return times;
}

FlowState guidedVelocity(const FlowState& conditioned, const FlowState& unconditioned, double guidance,
                         const std::function<bool(const std::string&)>& guided) {
    FlowState result;
    for (const auto& [name, value] : conditioned)
        result[name] = guided(name) ? (1 + guidance) * value - guidance * unconditioned.at(name) : value;
    return result;
}

FlowState eulerStep(const FlowState& state, const FlowState& velocity, const torch::Tensor& step) {
    FlowState next;
    for (const auto& [name, value] : state) next[name] = value + step * velocity.at(name);
    return next;
}

FlowState sampleFlow(StructureFlow& model, const FlowState& noise, const FlowCondition& condition,
                     const FlowCondition& unconditional, const FlowSampling& sampling,
                     const std::function<void(int, const FlowState&)>& afterStep) {
    const std::vector<double> times = samplerTimes(sampling.steps, sampling.rescale);
    const auto everyLatent = [](const std::string&) { return true; };
    const auto& any = noise.begin()->second;
    const auto filled = [&](double value) { return torch::full({any.size(0)}, value, any.options()); };
    const torch::Tensor stepSize = filled(sampling.shortcut ? kFlowTimeScale / sampling.steps : 0.0);
    FlowState state = noise;
    for (int i = 0; i < sampling.steps; ++i) {
        const auto index = static_cast<std::size_t>(i);
        const double scaled = times[index] * kFlowTimeScale;
        const torch::Tensor t = filled(scaled);
        FlowState velocity = model->velocity(state, t, stepSize, condition);
        const bool guide = sampling.guidance != 0 && scaled >= sampling.interval[0] && scaled <= sampling.interval[1];
        if (guide)
            velocity = guidedVelocity(velocity, model->velocity(state, t, stepSize, unconditional), sampling.guidance,
                                      everyLatent);
        state = eulerStep(state, velocity, torch::tensor(times[index + 1] - times[index], any.options()));
        if (afterStep) afterStep(i, state);
    }
    return state;
}

}  // namespace medseg
