// The one-cycle schedule of step size and momentum (Smith 2018) step by step as torch's OneCycleLR computes it.
#pragma once

#include <cstdint>

namespace medseg {

struct OneCycle {
    std::int64_t steps = 1;  ///< of the optimiser, in the whole run
    double highestRate = 1e-3;
    double rise = 0.3;           ///< share of the steps in which the rate rises
    double startDivisor = 25;    ///< first rate = highest / this
    double endDivisor = 1e4;     ///< last rate = first / this
    double lowMomentum = 0.85;   ///< at the highest rate
    double highMomentum = 0.95;  ///< at both ends

    /// Step size and momentum (Adam's beta1) of step 0, 1, ..., steps - 1; beyond that those of the last step.
    double rate(std::int64_t step) const;
    double momentum(std::int64_t step) const;

  private:
    double between(double start, double top, double end, std::int64_t step) const;
};

}  // namespace medseg
