#include "medseg/train/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <nlohmann/json.hpp>

namespace medseg {
namespace {

double cosineBetween(double from, double to, double share) {
    return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * share));
}

}  // namespace

double LearningRate::at(const StepPosition& position) const {
    const double warmup = settings_.warmupEpochs;
    const double rise = warmup > 0 && position.epochs < warmup ? position.epochs / warmup : 1.0;
    // The very first step of a warm-up must still move.
    return std::max(rise, 1e-3) * scheduled(position);
}

OneCycle LearningRate::cycle(const StepPosition& position) const {
    OneCycle cycle;
    cycle.steps = std::max<std::int64_t>(1, position.steps);
    cycle.highestRate = settings_.learningRate;
    cycle.rise = settings_.cycleRise;
    return cycle;
}

double LearningRate::firstBeta(const StepPosition& position) const {
    const bool moves = settings_.schedule == "one_cycle" && settings_.cycleMomentum;
    return moves ? cycle(position).momentum(position.step) : settings_.betas[0];
}

double LearningRate::scheduled(const StepPosition& position) const {
    const double base = settings_.learningRate;
    const double t = std::clamp(position.epochs / settings_.epochs, 0.0, 1.0);
    if (settings_.schedule == "plateau") return base * plateauFactor_;
    if (settings_.schedule == "cosine") return cosineBetween(base, 0, t);
    if (settings_.schedule == "poly") return base * std::pow(1 - t, 0.9);
    if (settings_.schedule == "one_cycle") return cycle(position).rate(position.step);
    return base;
}

void LearningRate::onValidation(double dice) {
    if (settings_.schedule != "plateau" || std::isnan(dice)) return;
    constexpr double kThreshold = 1e-4;
    const double needed = bestDice_ >= 0 ? bestDice_ * (1 + kThreshold) : bestDice_;
    if (dice > needed) {
        bestDice_ = dice;
        waited_ = 0;
        return;
    }
    if (++waited_ > settings_.plateauPatience) {
        plateauFactor_ *= settings_.plateauFactor;
        waited_ = 0;
    }
}

nlohmann::json LearningRate::state() const {
    return {{"plateau_factor", plateauFactor_}, {"best_dice", bestDice_}, {"waited", waited_}};
}

void LearningRate::setState(const nlohmann::json& state) {
    plateauFactor_ = state.at("plateau_factor");
    bestDice_ = state.at("best_dice");
    waited_ = state.at("waited");
}

}  // namespace medseg
