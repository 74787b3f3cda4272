#include "medseg/dataset/cached_array.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/io/npy_header.h"

namespace medseg {

std::size_t cachedArrayOffset(const MappedFile& file, NpyType type, const std::vector<std::int64_t>& shape,
                              const char* manifest) {
    const std::string name = file.path().string();
    const NpyHeader header = parseNpyHeader(file.bytes(), name);
    if (header.type != type || header.shape != shape || header.fortranOrder || header.byteOrder != ByteOrder::Little)
        throw DataError(
            name, fmt::format("holds {} ({}), {} promises {} ({}): prepare again", header.typeName(),
                              fmt::join(header.shape, ", "), manifest, npyTypeName(type), fmt::join(shape, ", ")));
    if (header.dataOffset + header.dataSize().value_or(~std::uint64_t{0}) > file.bytes().size())
        throw DataError(name, "is truncated: prepare again");
    return header.dataOffset;
}

}  // namespace medseg
