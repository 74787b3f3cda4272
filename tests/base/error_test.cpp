#include "medseg/base/error.h"

#include <gtest/gtest.h>

#include "medseg/base/progress.h"

namespace medseg {
namespace {

// The exit codes are a contract with scripts that call the program.
TEST(Errors, CarryTheirExitCodes) {
    EXPECT_EQ(static_cast<int>(UsageError("x").exitCode()), 2);
    EXPECT_EQ(static_cast<int>(DataError("x").exitCode()), 3);
    EXPECT_EQ(static_cast<int>(WorkError("x").exitCode()), 1);
    EXPECT_EQ(static_cast<int>(InterruptedError().exitCode()), 130);
}

TEST(Errors, NameTheFileFirst) {
    EXPECT_STREQ(DataError("a.nii", "is truncated").what(), "a.nii: is truncated");
}

TEST(Durations, AreWrittenForPeople) {
    EXPECT_EQ(formatDuration(4.24), "4.2 s");
    EXPECT_EQ(formatDuration(200), "3 min 20 s");
    EXPECT_EQ(formatDuration(3599.7), "1 h 00 min");
    EXPECT_EQ(formatDuration(3725), "1 h 02 min");
}

}  // namespace
}  // namespace medseg
