// exp() and log(1 + x) that compilers vectorise: accurate to about 2 units in the last place of float.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace medseg {

/// e^x for x in [-87, 88] (clamped outside). Cody-Waite reduction and a degree-6 polynomial (minimax on [-ln2/2,
/// ln2/2]).
[[gnu::always_inline]] inline float vectorExp(float x) {
    constexpr float kLog2e = 1.44269504088896341f;
    constexpr float kLn2High = 0.693359375f;
    constexpr float kLn2Low = -2.12194440e-4f;
    constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    x = std::min(std::max(x, -87.0f), 88.0f);
    const float shifted = x * kLog2e + kRoundMagic;
    const float n = shifted - kRoundMagic;
    const float r = (x - n * kLn2High) - n * kLn2Low;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    const auto exponent = static_cast<std::int32_t>(n) + 127;
    return p * std::bit_cast<float>(exponent << 23);
}

/// log(1 + e) for e in [0, 1]: 2 atanh(e / (2 + e)) as a power series, whose argument is at most 1/3.
[[gnu::always_inline]] inline float vectorLog1p(float e) {
    const float z = e / (2.0f + e);
    const float z2 = z * z;
    float p = 1.0f / 15;
    p = p * z2 + 1.0f / 13;
    p = p * z2 + 1.0f / 11;
    p = p * z2 + 1.0f / 9;
    p = p * z2 + 1.0f / 7;
    p = p * z2 + 1.0f / 5;
    p = p * z2 + 1.0f / 3;
    return 2.0f * (z + z * z2 * p);
}

}  // namespace medseg
