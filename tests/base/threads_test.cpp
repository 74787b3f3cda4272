#include "medseg/base/threads.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace medseg {
namespace {

class Threads : public ::testing::TestWithParam<int> {
  protected:
    void SetUp() override { setThreadCount(GetParam()); }
    void TearDown() override { setThreadCount(0); }
};

TEST_P(Threads, RangesCoverEveryIndexOnce) {
    std::vector<int> visits(1003, 0);
    std::atomic<int> tooShort{0};
    parallelFor(0, 1003, 10, [&](std::int64_t first, std::int64_t last) {
        if (last - first < 5) ++tooShort;
        for (std::int64_t i = first; i < last; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    EXPECT_EQ(visits, std::vector<int>(1003, 1));
    EXPECT_EQ(tooShort, 0);
}

TEST_P(Threads, AnEmptyRangeCallsNothing) {
    parallelFor(5, 5, 1, [](std::int64_t, std::int64_t) { FAIL(); });
    parallelForEach(3, 3, [](std::int64_t) { FAIL(); });
}

TEST_P(Threads, TheErrorOfABodyReachesTheCaller) {
    EXPECT_THROW(parallelForEach(0, 64,
                                 [](std::int64_t i) {
                                     if (i == 17) throw std::runtime_error("17");
                                 }),
                 std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Counts, Threads, ::testing::Values(1, 2, 5));

TEST(ThreadCount, FollowsTheSetting) {
    setThreadCount(3);
    EXPECT_EQ(threadCount(), 3);
    setThreadCount(0);
    EXPECT_GE(threadCount(), 1);
}

}  // namespace
}  // namespace medseg
