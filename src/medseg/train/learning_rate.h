// Learning-rate schedules.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "medseg/recipe/recipe.h"

namespace medseg {

/// The step size of every training step. plateau: halved (by its factor) when validation Dice has not risen for
/// `patience` validations, as torch's ReduceLROnPlateau with mode max and relative threshold 1e-4. cosine: to zero over
/// the run. poly: (1 - t)^0.9 as nnU-Net. one_cycle: up from 1/25 over 30 % of the run, down to 1/250000, both by
/// cosine (Smith 2018, defaults of torch's OneCycleLR). A warm-up rises linearly from zero before any of them.
class LearningRate {
  public:
    explicit LearningRate(const TrainSettings& settings) : settings_(settings) {}

    /// `position`: finished epochs, fractional within an epoch.
    double at(double position) const;
    /// To be called after each validation.
    void onValidation(double dice);

    nlohmann::json state() const;
    void setState(const nlohmann::json& state);

  private:
    double scheduled(double position) const;

    TrainSettings settings_;
    double plateauFactor_ = 1;
    double bestDice_ = -1e300;
    int waited_ = 0;
};

}  // namespace medseg
