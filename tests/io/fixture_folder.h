// Where the reference files lie that tests compare with: MEDSEG_FIXTURES, else the place the build was given.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace medseg {

inline std::filesystem::path fixtureFolder(const std::string& name) {
    const char* root = std::getenv("MEDSEG_FIXTURES");
    return std::filesystem::path(root != nullptr ? root : MEDSEG_FIXTURES_DEFAULT) / name;
}

}  // namespace medseg
