#include "medseg/infer/probabilities.h"

#include <algorithm>
#include <cmath>

#include "medseg/base/threads.h"
#include "medseg/nn/vector_exp.h"

namespace medseg {
namespace {

float binaryEntropy(float p) {
    const auto term = [](float q) { return q > 0 ? -q * std::log2(q) : 0.0F; };
    return term(p) + term(1 - p);
}

}  // namespace

void toProbabilities(float* values, std::int64_t pixels, std::int64_t channels, OutputKind output) {
    parallelFor(0, pixels, 4096, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) {
            float* x = values + i * channels;
            if (output == OutputKind::Sigmoid) {
                for (std::int64_t c = 0; c < channels; ++c) x[c] = 1.0f / (1.0f + vectorExp(-x[c]));
                continue;
            }
            const float largest = *std::max_element(x, x + channels);
            float sum = 0;
            for (std::int64_t c = 0; c < channels; ++c) sum += x[c] = vectorExp(x[c] - largest);
            for (std::int64_t c = 0; c < channels; ++c) x[c] /= sum;
        }
    });
}

float pixelEntropy(const float* probability, std::int64_t channels, OutputKind output) {
    float result = 0;
    if (output == OutputKind::Sigmoid) {
        // The entropy falls with the distance from 1/2.
        float nearest = 0;
        for (std::int64_t c = 0; c < channels; ++c)
            if (std::abs(probability[c] - 0.5F) < std::abs(nearest - 0.5F)) nearest = probability[c];
        return binaryEntropy(nearest);
    }
    for (std::int64_t c = 0; c < channels; ++c)
        if (probability[c] > 0) result -= probability[c] * std::log(probability[c]);
    return result / std::log(static_cast<float>(channels));
}

}  // namespace medseg
