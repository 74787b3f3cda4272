// Numbers in the byte order of a file, from and to memory without alignment.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace medseg {

enum class ByteOrder { Little, Big };

constexpr ByteOrder nativeByteOrder() {
    return std::endian::native == std::endian::little ? ByteOrder::Little : ByteOrder::Big;
}

/// The value with its bytes reversed; any trivially copyable type of 1, 2, 4 or 8 bytes.
template <typename T>
T byteSwapped(T value) {
    if constexpr (sizeof(T) == 1) {
        return value;
    } else if constexpr (sizeof(T) == 2) {
        return std::bit_cast<T>(__builtin_bswap16(std::bit_cast<std::uint16_t>(value)));
    } else if constexpr (sizeof(T) == 4) {
        return std::bit_cast<T>(__builtin_bswap32(std::bit_cast<std::uint32_t>(value)));
    } else {
        static_assert(sizeof(T) == 8);
        return std::bit_cast<T>(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)));
    }
}

/// Reads a number of the given byte order from `bytes` (sizeof(T) bytes, any alignment).
template <typename T>
T loadNumber(const std::uint8_t* bytes, ByteOrder order = ByteOrder::Little) {
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return order == nativeByteOrder() ? value : byteSwapped(value);
}

/// Writes a number in the given byte order to `bytes`.
template <typename T>
void storeNumber(std::uint8_t* bytes, T value, ByteOrder order = ByteOrder::Little) {
    if (order != nativeByteOrder()) value = byteSwapped(value);
    std::memcpy(bytes, &value, sizeof(T));
}

}  // namespace medseg
