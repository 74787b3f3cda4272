// Access to the folder of reference values: MEDSEG_FIXTURES, else the default beside the checkout.
#pragma once

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

namespace medseg::test {

inline std::filesystem::path fixtures() {
    const char* chosen = std::getenv("MEDSEG_FIXTURES");
    return chosen != nullptr && *chosen != '\0' ? chosen : MEDSEG_FIXTURES_DEFAULT;
}

}  // namespace medseg::test

/// Skips the running test, saying so, when `folder` of the fixtures is missing.
#define MEDSEG_REQUIRE_FIXTURES(folder)                                                                 \
    if (!std::filesystem::is_directory(medseg::test::fixtures() / (folder)))                            \
    GTEST_SKIP() << "no fixtures at " << (medseg::test::fixtures() / (folder)).string() << ": set MEDSEG_FIXTURES"
