#include "medseg/io/plausible_size.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

void requirePlausibleSize(std::uint64_t bytes, std::uint64_t fileLength, const std::string& source) {
    constexpr std::uint64_t kFreeBytes = std::uint64_t{64} << 20, kMaxExpansion = 1100;
    if (bytes > kFreeBytes && bytes / kMaxExpansion > fileLength)
        throw DataError(
            source, fmt::format("truncated or damaged: claims {} bytes of pixels, the file has {}", bytes, fileLength));
}

}  // namespace medseg
