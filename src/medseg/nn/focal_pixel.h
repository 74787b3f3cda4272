// The focal loss of one pixel with sigmoid outputs (Lin et al. 2017), all channels in vectorised loops.
#pragma once

#include <cmath>
#include <cstdint>

#include "medseg/nn/vector_exp.h"

namespace medseg {

/// log(1 + e^x)
inline double softplus(double x) {
    return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

/// sum_c weight[c] p^gamma softplus(x): the loss of channels that the pixel does not belong to. Fills `p`.
[[gnu::noinline]] inline double focalNegatives(const float* x, float* p, const float* weight, float gamma,
                                               std::int64_t channels) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < channels; ++c) {
        const float e = vectorExp(-std::abs(x[c]));
        const float logarithm = vectorLog1p(e);
        const float power = vectorExp(-gamma * (std::max(-x[c], 0.0f) + logarithm));  // p^gamma
        p[c] = weight[c] * power * (std::max(x[c], 0.0f) + logarithm);
    }
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < channels; ++c) sum += p[c];
#pragma GCC ivdep
    for (std::int64_t c = 0; c < channels; ++c) {
        const float e = vectorExp(-std::abs(x[c]));
        const float inverse = 1.0f / (1.0f + e);
        p[c] = x[c] >= 0 ? inverse : e * inverse;
    }
    return sum;
}

/// Replaces p by the gradient of scale * focalNegatives() and of the overlap term's constant part (times 2 p when
/// `squared`).
[[gnu::noinline]] inline void focalGradient(const float* x, float* p, const float* weight, float gamma, float scale,
                                            const float* constant, bool squared, std::int64_t channels) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < channels; ++c) {
        const float logarithm = vectorLog1p(vectorExp(-std::abs(x[c])));
        const float power = vectorExp(-gamma * (std::max(-x[c], 0.0f) + logarithm));  // p^gamma
        const float rest = 1.0f - p[c];
        const float focal = weight[c] * power * (gamma * rest * (std::max(x[c], 0.0f) + logarithm) + p[c]);
        const float factor = squared ? 2.0f * p[c] : 1.0f;
        p[c] = scale * focal + p[c] * rest * factor * constant[c];
    }
}

/// What a channel's loss changes by when the pixel belongs to it, and the derivative of that.
struct FocalChange {
    double value, slope;
};

inline FocalChange focalTargetChange(double x, double gamma, double weight, double negativeWeight) {
    const double losingLog = softplus(x), winningLog = softplus(-x);      // -log(1 - p), -log(p)
    const double p = std::exp(-winningLog), rest = std::exp(-losingLog);  // p and 1 - p
    const double onTarget = std::exp(-gamma * losingLog), offTarget = std::exp(-gamma * winningLog);
    return {weight * onTarget * winningLog - negativeWeight * offTarget * losingLog,
            -weight * onTarget * (gamma * p * winningLog + rest) -
                negativeWeight * offTarget * (gamma * rest * losingLog + p)};
}

}  // namespace medseg
