// From noise to latents: Euler steps along the generator's velocity, with classifier-free guidance, or the few steps of
// the distilled shortcut model.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "medseg/nn/sam3d/structure_flow.h"

namespace medseg {

/// The model was trained on times and step sizes in 0..1000.
inline constexpr double kFlowTimeScale = 1000;

struct FlowSampling {
    int steps = 25;
    double rescale = 3;                      ///< above 1: more steps near time 0
    double guidance = 7;                     ///< s in (1 + s) conditioned - s unconditioned; 0 = off
    std::array<double, 2> interval{0, 500};  ///< of 1000 t, in which guidance acts
    bool shortcut = false;                   ///< embed the step size 1 / steps instead of 0

    /// The distilled model: 2 even steps without guidance.
    static FlowSampling distilled();
};

/// u / (1 + (r - 1)(1 - u)) for steps + 1 even values of u from 0 to 1. Throws UsageError on fewer than one step.
std::vector<double> samplerTimes(int steps, double rescale);

/// Samples the latents that `noise` names. `condition` and `unconditional` must hold the streams of these latents;
/// `unconditional` is used only while guidance acts. `afterStep` sees every state and may throw.
FlowState sampleFlow(StructureFlow& model, const FlowState& noise, const FlowCondition& condition,
                     const FlowCondition& unconditional, const FlowSampling& sampling,
                     const std::function<void(int step, const FlowState& state)>& afterStep = {});

/// Guided velocity: (1 + s) a - s b for the latents for which `guided` says so, a for the others.
FlowState guidedVelocity(const FlowState& conditioned, const FlowState& unconditioned, double guidance,
                         const std::function<bool(const std::string&)>& guided);

/// state + step * velocity.
FlowState eulerStep(const FlowState& state, const FlowState& velocity, const torch::Tensor& step);

}  // namespace medseg
