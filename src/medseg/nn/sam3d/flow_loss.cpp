#include "medseg/nn/sam3d/flow_loss.h"

#include "medseg/nn/sam3d/flow_sampler.h"

namespace medseg {
namespace {

/// (batch) to (batch, 1, 1).
torch::Tensor overTokens(const torch::Tensor& perSample) {
    return perSample.reshape({-1, 1, 1});
}

double weightOf(const std::map<std::string, double>& weights, const std::string& latent) {
    const auto found = weights.find(latent);
    return found == weights.end() ? 0.0 : found->second;
}

torch::Tensor plus(const torch::Tensor& sum, const torch::Tensor& term) {
    return sum.defined() ? sum + term : term;
}

}  // namespace

FlowState interpolate(const FlowState& noise, const FlowState& data, const torch::Tensor& t) {
    const auto share = overTokens(t);
    FlowState state;
    for (const auto& [name, clean] : data) state[name] = (1 - share) * noise.at(name) + share * clean;
    return state;
}

torch::Tensor FlowLoss::predictedData(const std::string& latent, const torch::Tensor& t) const {
    return state.at(latent) + (1 - overTokens(t)) * velocity.at(latent);
}

FlowLoss flowMatchingLoss(StructureFlow& model, const FlowState& noise, const FlowState& data, const torch::Tensor& t,
                          const FlowCondition& condition, const std::map<std::string, double>& weights) {
    FlowLoss loss;
    loss.state = interpolate(noise, data, t);
    loss.velocity = model->velocity(loss.state, t * kFlowTimeScale, torch::zeros_like(t), condition);
    for (const auto& [name, predicted] : loss.velocity) {
        const auto error = torch::mse_loss(predicted, data.at(name) - noise.at(name));
        loss.latents[name] = error;
        const double weight = weightOf(weights, name);
        if (weight != 0) loss.total = plus(loss.total, weight * error);
    }
    return loss;
}

FlowState shortcutTarget(StructureFlow& model, const FlowState& x, const torch::Tensor& t, const torch::Tensor& d,
                         const FlowCondition& condition, const FlowCondition& unconditional, double guidance) {
    torch::NoGradGuard noGradient;
    const auto velocityAt = [&](const FlowState& state, const torch::Tensor& time) {
        const auto scaledTime = time * kFlowTimeScale, step = d * kFlowTimeScale;
        const FlowState conditioned = model->velocity(state, scaledTime, step, condition);
        if (guidance <= 0) return conditioned;
        return guidedVelocity(conditioned, model->velocity(state, scaledTime, step, unconditional), guidance,
                              [](const std::string& latent) { return latent == kShapeLatent; });
    };
    const FlowState first = velocityAt(x, t);
    const FlowState second = velocityAt(eulerStep(x, first, overTokens(d)), t + d);
    FlowState target;
    for (const auto& [name, value] : first) target[name] = 0.5 * (value + second.at(name));
    return target;
}

torch::Tensor shortcutLoss(StructureFlow& model, const FlowState& x, const torch::Tensor& t, const torch::Tensor& d,
                           const FlowState& target, const FlowCondition& condition,
                           const std::map<std::string, double>& weights) {
    const FlowState velocity = model->velocity(x, t * kFlowTimeScale, 2 * d * kFlowTimeScale, condition);
    torch::Tensor total;
    for (const auto& [name, predicted] : velocity) {
        const double weight = weightOf(weights, name);
        if (weight != 0) total = plus(total, weight * torch::mse_loss(predicted, target.at(name)));
    }
    return total;
}

}  // namespace medseg
