// Where the fixtures of the data folder are, and reading their JSON.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace medseg {

inline std::filesystem::path fixtureFolder(const std::string& name) {
    const char* root = std::getenv("MEDSEG_FIXTURES");
    return std::filesystem::path(root != nullptr ? root : MEDSEG_FIXTURES_DEFAULT) / name;
}

inline nlohmann::json readJson(const std::filesystem::path& path) {
    return nlohmann::json::parse(std::ifstream(path));
}

}  // namespace medseg

/// Defines `variable` as the folder, or skips the test with a message.
#define MEDSEG_REQUIRE_FIXTURE(variable, name)                            \
    const std::filesystem::path variable = ::medseg::fixtureFolder(name); \
    if (!std::filesystem::exists(variable)) GTEST_SKIP() << "no fixtures at " << variable << ": set MEDSEG_FIXTURES"
