// The text header of .npy data (numpy's format description, versions 1 to 3), parsed by a reader of plain literals:
// nothing in the file is ever evaluated or unpickled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "medseg/io/byte_order.h"
#include "medseg/io/deflate.h"
#include "medseg/io/npy.h"

namespace medseg {

struct NpyHeader {
    std::optional<NpyType> type;  ///< empty for types that are no plain numbers
    std::string descriptor;       ///< numpy's type string as in the file: "<i2", "|O"
    ByteOrder byteOrder = ByteOrder::Little;
    bool fortranOrder = false;
    std::vector<std::int64_t> shape;
    std::size_t dataOffset = 0;

    /// One text of numpy's unicode type (<U12).
    bool isText() const { return descriptor.size() > 2 && descriptor[1] == 'U' && shape.empty(); }
    bool isObject() const { return descriptor.find('O') != std::string::npos; }
    /// numpy's type name for plain types, "object", else the descriptor.
    std::string typeName() const;
    /// Bytes of the data; empty when the shape is so large that the number overflows.
    std::optional<std::uint64_t> dataSize() const;
    /// Throws DataError for object arrays (which would need unpickling) and other types that are no plain numbers.
    void requirePlainType(const std::string& source) const;
};

constexpr std::size_t kMaxNpyHeaderSize = std::size_t{1} << 16;

/// Parses the start of .npy data; `source` names it in errors. Throws DataError on anything that is not a valid header.
NpyHeader parseNpyHeader(ByteSpan bytes, const std::string& source);

/// Header of an array in native byte order and C order, format version 1; the data follow at a multiple of 64 bytes.
std::string npyHeaderText(NpyType type, const std::vector<std::int64_t>& shape);

/// "i2" -> I16; empty for unknown codes.
std::optional<NpyType> npyTypeFromCode(std::string_view code);

}  // namespace medseg
