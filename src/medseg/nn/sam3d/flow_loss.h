// Training losses of the structure generator: flow matching, and the self-consistency of shortcut models (Frans et al.
// 2024).
#pragma once

#include <map>
#include <string>

#include "medseg/nn/sam3d/structure_flow.h"

namespace medseg {

/// (1 - t) noise + t data for every latent. t: (batch) in [0, 1].
FlowState interpolate(const FlowState& noise, const FlowState& data, const torch::Tensor& t);

struct FlowLoss {
    torch::Tensor total;                           ///< weighted sum, with gradient
    std::map<std::string, torch::Tensor> latents;  ///< mean squared error of each latent, unweighted
    FlowState state;                               ///< x_t
    FlowState velocity;                            ///< predicted

    /// x_t + (1 - t) v: the data that the prediction points to.
    torch::Tensor predictedData(const std::string& latent, const torch::Tensor& t) const;
};

/// Mean squared error between the velocity at x_t and data - noise. `weights`: latent -> weight; latents without one
/// count 0. The step size 0 is embedded.
FlowLoss flowMatchingLoss(StructureFlow& model, const FlowState& noise, const FlowState& data, const torch::Tensor& t,
                          const FlowCondition& condition, const std::map<std::string, double>& weights);

/// The mean of two successive velocities with step d: what the model should predict for one step of 2 d. t and d:
/// (batch), fractions. With `guidance` above 0 both velocities are guided, on the shape only. No gradient.
FlowState shortcutTarget(StructureFlow& model, const FlowState& x, const torch::Tensor& t, const torch::Tensor& d,
                         const FlowCondition& condition, const FlowCondition& unconditional, double guidance);

/// Mean squared error of the velocity with step 2 d against shortcutTarget().
torch::Tensor shortcutLoss(StructureFlow& model, const FlowState& x, const torch::Tensor& t, const torch::Tensor& d,
                           const FlowState& target, const FlowCondition& condition,
                           const std::map<std::string, double>& weights);

}  // namespace medseg
