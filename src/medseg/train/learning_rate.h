// Learning-rate schedules.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "medseg/recipe/recipe.h"
#include "medseg/train/one_cycle.h"

namespace medseg {

/// How far a run has come.
struct StepPosition {
    double epochs = 0;       ///< finished ones, fractional within an epoch
    std::int64_t step = 0;   ///< finished steps of the optimiser
    std::int64_t steps = 0;  ///< of the whole run
};

/// The step size of every training step. plateau: halved (by its factor) when validation Dice has not risen for
/// `patience` validations, as torch's ReduceLROnPlateau with mode max and relative threshold 1e-4. cosine: to zero over
/// the run. poly: (1 - t)^0.9 as nnU-Net. one_cycle: up from 1/25 over a share of the steps, down to 1/250000, both by
/// cosine, and with cycle_momentum beta1 against it (OneCycle). A warm-up rises linearly from zero before any of them.
class LearningRate {
  public:
    explicit LearningRate(const TrainSettings& settings) : settings_(settings) {}

    double at(const StepPosition& position) const;
    /// Adam's beta1 there.
    double firstBeta(const StepPosition& position) const;
    /// To be called after each validation.
    void onValidation(double dice);

    nlohmann::json state() const;
    void setState(const nlohmann::json& state);

  private:
    double scheduled(const StepPosition& position) const;
    OneCycle cycle(const StepPosition& position) const;

    TrainSettings settings_;
    double plateauFactor_ = 1;
    double bestDice_ = -1e300;
    int waited_ = 0;
};

}  // namespace medseg
