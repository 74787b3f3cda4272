#include "medseg/base/random.h"

#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace medseg {
namespace {

// First outputs of xoshiro256++ from state 1, 2, 3, 4, as published with the authors' reference code.
TEST(Random, EqualsTheReferenceGenerator) {
    Random random(0);
    random.setState({1, 2, 3, 4});
    for (const std::uint64_t expected : {41943041ULL, 58720359ULL, 3588806011781223ULL, 3591011842654386ULL,
                                         9228616714210784205ULL, 9973669472204895162ULL})
        EXPECT_EQ(random.next(), expected);
}

TEST(Random, SameSeedAndStreamRepeatOthersDiffer) {
    Random a(7, 3), b(7, 3), otherStream(7, 4), otherSeed(8, 3);
    const std::uint64_t first = a.next();
    EXPECT_EQ(first, b.next());
    EXPECT_NE(first, otherStream.next());
    EXPECT_NE(first, otherSeed.next());
}

TEST(Random, StateContinuesTheSequence) {
    Random random(11);
    random.next();
    const Random::State state = random.state();
    const std::uint64_t expected = random.next();
    Random restored(99);
    restored.setState(state);
    EXPECT_EQ(restored.next(), expected);
}

TEST(Random, UniformHasItsMeanAndBounds) {
    Random random(1);
    constexpr int kCount = 200000;
    double sum = 0;
    for (int i = 0; i < kCount; ++i) {
        const double value = random.uniform();
        ASSERT_GE(value, 0);
        ASSERT_LT(value, 1);
        sum += value;
    }
    // Five standard errors of a uniform mean, sqrt(1/12/n).
    EXPECT_NEAR(sum / kCount, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
}

TEST(Random, NormalHasZeroMeanAndUnitVariance) {
    Random random(2);
    constexpr int kCount = 200000;
    double sum = 0, squares = 0;
    for (int i = 0; i < kCount; ++i) {
        const double value = random.normal();
        sum += value;
        squares += value * value;
    }
    EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
    EXPECT_NEAR(squares / kCount, 1, 5 * std::sqrt(2.0 / kCount));
}

TEST(Random, IndexReachesEveryValueAndNoOther) {
    Random random(3);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(random.index(7));
    EXPECT_EQ(seen, (std::set<std::uint64_t>{0, 1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(random.index(1), 0U);
}

TEST(Random, ShuffleKeepsTheItems) {
    Random random(4);
    std::vector<int> items(50);
    std::iota(items.begin(), items.end(), 0);
    const std::vector<int> before = items;
    random.shuffle(items);
    EXPECT_NE(items, before);
    EXPECT_TRUE(std::is_permutation(items.begin(), items.end(), before.begin()));
}

}  // namespace
}  // namespace medseg
