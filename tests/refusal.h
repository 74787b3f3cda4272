// How a file is refused.
#pragma once

#include <concepts>
#include <string>

#include <gmock/gmock.h>

#include "medseg/base/error.h"

namespace medseg::test {

/// The message of the DataError that `action` throws, one line; "accepted" if it throws none.
template <std::invocable Action>
std::string refusalOf(Action&& action) {
    try {
        action();
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
        return error.what();
    }
    return "accepted";
}

}  // namespace medseg::test
