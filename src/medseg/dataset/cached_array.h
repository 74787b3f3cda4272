// Arrays of a cache, mapped: what their headers must say.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/io/npy.h"

namespace medseg {

/// Checks a mapped .npy file against what the cache's manifest (named in messages) promises and returns where its data
/// start. Throws DataError: another type or shape, or truncated.
std::size_t cachedArrayOffset(const MappedFile& file, NpyType type, const std::vector<std::int64_t>& shape,
                              const char* manifest);

}  // namespace medseg
