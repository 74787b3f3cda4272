// What compressed files may claim.
#pragma once

#include <cstdint>
#include <string>

namespace medseg {

/// Compressed images of nothing are tiny: up to 64 MiB need no justification, more than that is 1100 times the length
/// of the file at most. Throws DataError (naming `source`) otherwise, before anything is allocated.
void requirePlausibleSize(std::uint64_t bytes, std::uint64_t fileLength, const std::string& source);

}  // namespace medseg
