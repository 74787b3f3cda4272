#include "medseg/dataset/intensity_changes.h"

#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace medseg {
namespace {

TEST(IntensityChanges, GammaIsThePower) {
    for (const double gamma : {0.5, 0.7, 1.0, 1.5, 3.0}) {
        std::vector<float> values;
        for (int i = 0; i <= 1000; ++i) values.push_back(static_cast<float>(i) / 1000);
        applyGamma(values, gamma);
        for (int i = 0; i <= 1000; ++i) EXPECT_NEAR(values[i], std::pow(i / 1000.0, gamma), 1e-5);
    }
}

TEST(IntensityChanges, NoiseHasTheMomentsOfANormalDistribution) {
    std::vector<float> values(1 << 20, 0.0F);
    Random random(1, 2);
    addNoise(values, 2, random);
    double sum = 0, squares = 0, fourth = 0;
    for (const float v : values) sum += v, squares += v * v, fourth += std::pow(v, 4);
    const double n = static_cast<double>(values.size());
    EXPECT_NEAR(sum / n, 0, 0.01);
    EXPECT_NEAR(squares / n, 4, 0.03);
    EXPECT_NEAR(fourth / n / 16, 3, 0.1);
}

TEST(IntensityChanges, LinearChangeKeepsTheMeanAndClips) {
    std::vector<float> values{0.2F, 0.4F, 0.6F, 0.8F};
    Random random(1, 2);
    applyLinear(values, {1.5, 0.1, 0}, random);
    EXPECT_NEAR(values[0], 0.5 + 1.5 * -0.3 + 0.1, 1e-6);
    EXPECT_NEAR(values[3], 1, 1e-6);  // 0.5 + 0.45 + 0.1 is clipped
}

TEST(IntensityChanges, BlurOfAPointIsTheKernelAndOfAConstantNothing) {
    constexpr int n = 21;
    std::vector<float> point(n * n, 0.0F), flat(n * n, 0.3F);
    point[10 * n + 10] = 1;
    blurPlane(point.data(), n, n, 1.5);
    blurPlane(flat.data(), n, n, 1.5);
    double sum = 0;
    for (int i = -5; i <= 5; ++i) sum += std::exp(-0.5 * i * i / 2.25);
    for (int y = -5; y <= 5; ++y)
        for (int x = -5; x <= 5; ++x)
            EXPECT_NEAR(point[(10 + y) * n + 10 + x], std::exp(-0.5 * (x * x + y * y) / 2.25) / (sum * sum), 1e-6);
    for (const float value : flat) EXPECT_NEAR(value, 0.3, 1e-6);
}

TEST(IntensityChanges, LowerResolutionKeepsRampsAndLosesStripes) {
    constexpr int n = 32;
    std::vector<float> ramp, stripes;
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x) {
            ramp.push_back(static_cast<float>(x) / n);
            stripes.push_back(x % 2 == 0 ? 0.0F : 1.0F);
        }
    lowerResolution(ramp.data(), n, n, 0.5);
    lowerResolution(stripes.data(), n, n, 0.5);
    // Half as many pixels by nearest neighbour: every second one survives.
    for (int y = 0; y < n; ++y)
        for (int x = 2; x + 2 < n; ++x) EXPECT_NEAR(ramp[y * n + x], static_cast<float>(x) / n, 1.0 / n);
    for (const float value : stripes) EXPECT_EQ(value, stripes.front());
    std::vector<float> one{0.5F};
    lowerResolution(one.data(), 1, 1, 0.1);
    EXPECT_EQ(one[0], 0.5F);
}

}  // namespace
}  // namespace medseg
