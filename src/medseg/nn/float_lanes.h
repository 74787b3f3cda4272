// As many floats as one register of the target processor holds, with the operations that kernels need. Fused
// multiply-add is explicit here: the compiler's own contraction is off.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#endif

namespace medseg {

#if defined(__AVX512F__)

struct FloatLanes {
    static constexpr int kCount = 16;
    static constexpr int kRegisters = 32;
    static constexpr bool kTransposes = true;
    __m512 value;

    static FloatLanes of(float x) { return {_mm512_set1_ps(x)}; }
    static FloatLanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
    void store(float* p) const { _mm512_storeu_ps(p, value); }
    friend FloatLanes operator+(FloatLanes a, FloatLanes b) { return {_mm512_add_ps(a.value, b.value)}; }
    friend FloatLanes operator-(FloatLanes a, FloatLanes b) { return {_mm512_sub_ps(a.value, b.value)}; }
    friend FloatLanes operator*(FloatLanes a, FloatLanes b) { return {_mm512_mul_ps(a.value, b.value)}; }
    /// a b + c, rounded once.
    static FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
        return {_mm512_fmadd_ps(a.value, b.value, c.value)};
    }
    /// The second operand where either is NaN.
    static FloatLanes max(FloatLanes a, FloatLanes b) { return {_mm512_maskz_max_ps(kAll, a.value, b.value)}; }
    static FloatLanes min(FloatLanes a, FloatLanes b) { return {_mm512_maskz_min_ps(kAll, a.value, b.value)}; }
    /// To the nearest integer.
    static FloatLanes round(FloatLanes a) {
        return {_mm512_maskz_roundscale_ps(kAll, a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    }
    /// a 2^n for integers n.
    static FloatLanes timesPowerOfTwo(FloatLanes a, FloatLanes n) {
        return {_mm512_maskz_scalef_ps(kAll, a.value, n.value)};
    }
    float sum() const {
        const __m256 half = _mm256_add_ps(lower(), upper());
        __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
        quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
        return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
    }
    float maximum() const {
        const __m256 half = _mm256_max_ps(lower(), upper());
        __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
        quarter = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
        return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
    }

    /// Element c of row r becomes element r of row c.
    [[gnu::always_inline]] static void transpose(FloatLanes (&rows)[kCount]) {
        // Interleaving row i with row i + 8 moves one bit of the row's number into the column's; four times move all.
#pragma GCC unroll 4
        for (int round = 0; round < 4; ++round) {
            FloatLanes next[kCount];
#pragma GCC unroll 8
            for (int i = 0; i < 8; ++i) {
                const __m512 a = rows[i].value, b = rows[i + 8].value;
                next[2 * i].value =
                    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                next[2 * i + 1].value =
                    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            }
#pragma GCC unroll 16
            for (int i = 0; i < kCount; ++i) rows[i] = next[i];
        }
    }

  private:
    // With a mask: GCC 12 warns of the undefined operand in its own unmasked forms. The instructions are the same.
    static constexpr __mmask16 kAll = 0xFFFF;
    __m256 lower() const {
        return __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7);
    }
    __m256 upper() const {
        return __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
    }
};

#elif defined(__AVX2__) && defined(__FMA__)

struct FloatLanes {
    static constexpr int kCount = 8;
    static constexpr int kRegisters = 16;
    static constexpr bool kTransposes = false;  ///< no transpose(): element by element is as fast
    __m256 value;

    static FloatLanes of(float x) { return {_mm256_set1_ps(x)}; }
    static FloatLanes load(const float* p) { return {_mm256_loadu_ps(p)}; }
    void store(float* p) const { _mm256_storeu_ps(p, value); }
    friend FloatLanes operator+(FloatLanes a, FloatLanes b) { return {_mm256_add_ps(a.value, b.value)}; }
    friend FloatLanes operator-(FloatLanes a, FloatLanes b) { return {_mm256_sub_ps(a.value, b.value)}; }
    friend FloatLanes operator*(FloatLanes a, FloatLanes b) { return {_mm256_mul_ps(a.value, b.value)}; }
    static FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) {
        return {_mm256_fmadd_ps(a.value, b.value, c.value)};
    }
    static FloatLanes max(FloatLanes a, FloatLanes b) { return {_mm256_max_ps(a.value, b.value)}; }
    static FloatLanes min(FloatLanes a, FloatLanes b) { return {_mm256_min_ps(a.value, b.value)}; }
    static FloatLanes round(FloatLanes a) {
        return {_mm256_round_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
    }
    /// n in [-126, 127].
    static FloatLanes timesPowerOfTwo(FloatLanes a, FloatLanes n) {
        const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.value), _mm256_set1_epi32(127));
        return {_mm256_mul_ps(a.value, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)))};
    }
    float sum() const {
        __m128 half = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
        half = _mm_add_ps(half, _mm_movehl_ps(half, half));
        return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
    }
    float maximum() const {
        __m128 half = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
        half = _mm_max_ps(half, _mm_movehl_ps(half, half));
        return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
    }
};

#else

/// Arrays of four, which compilers turn into whatever registers there are.
struct FloatLanes {
    static constexpr int kCount = 4;
    static constexpr int kRegisters = 16;
    static constexpr bool kTransposes = false;  ///< no transpose(): element by element is as fast
    float value[kCount];

    static FloatLanes of(float x) { return {{x, x, x, x}}; }
    static FloatLanes load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
    void store(float* p) const { std::copy(value, value + kCount, p); }
    template <typename Operation>
    static FloatLanes each(FloatLanes a, FloatLanes b, Operation operation) {
        for (int i = 0; i < kCount; ++i) a.value[i] = operation(a.value[i], b.value[i]);
        return a;
    }
    friend FloatLanes operator+(FloatLanes a, FloatLanes b) {
        return each(a, b, [](float x, float y) { return x + y; });
    }
    friend FloatLanes operator-(FloatLanes a, FloatLanes b) {
        return each(a, b, [](float x, float y) { return x - y; });
    }
    friend FloatLanes operator*(FloatLanes a, FloatLanes b) {
        return each(a, b, [](float x, float y) { return x * y; });
    }
    /// Rounded twice: there is no fast fused form here.
    static FloatLanes fma(FloatLanes a, FloatLanes b, FloatLanes c) { return a * b + c; }
    static FloatLanes max(FloatLanes a, FloatLanes b) {
        return each(a, b, [](float x, float y) { return x > y ? x : y; });
    }
    static FloatLanes min(FloatLanes a, FloatLanes b) {
        return each(a, b, [](float x, float y) { return x < y ? x : y; });
    }
    static FloatLanes round(FloatLanes a) {
        return each(a, a, [](float x, float) { return std::nearbyint(x); });
    }
    static FloatLanes timesPowerOfTwo(FloatLanes a, FloatLanes n) {
        return each(a, n, [](float x, float y) {
            return x * std::bit_cast<float>((static_cast<std::int32_t>(y) + 127) << 23);
        });
    }
    float sum() const { return (value[0] + value[2]) + (value[1] + value[3]); }
    float maximum() const { return std::max(std::max(value[0], value[1]), std::max(value[2], value[3])); }
};

#endif

/// e^x, x clamped to [-87, 88]; NaN stays NaN. As vectorExp() in vector_exp.h, to about 1 unit in the last place.
[[gnu::always_inline]] inline FloatLanes exponential(FloatLanes x) {
    x = FloatLanes::min(FloatLanes::of(88.0F), FloatLanes::max(FloatLanes::of(-87.0F), x));
    const FloatLanes n = FloatLanes::round(x * FloatLanes::of(1.44269504088896341F));
    FloatLanes r = FloatLanes::fma(n, FloatLanes::of(-0.693359375F), x);
    r = FloatLanes::fma(n, FloatLanes::of(2.12194440e-4F), r);
    FloatLanes p = FloatLanes::of(1.0F / 720);
    p = FloatLanes::fma(p, r, FloatLanes::of(1.0F / 120));
    p = FloatLanes::fma(p, r, FloatLanes::of(1.0F / 24));
    p = FloatLanes::fma(p, r, FloatLanes::of(1.0F / 6));
    p = FloatLanes::fma(p, r, FloatLanes::of(0.5F));
    p = FloatLanes::fma(p, r, FloatLanes::of(1.0F));
    p = FloatLanes::fma(p, r, FloatLanes::of(1.0F));
    return FloatLanes::timesPowerOfTwo(p, n);
}

}  // namespace medseg
