// numpy's .npy and .npz files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace medseg {

struct NpyHeader;
struct ZipEntry;
class ZipReader;

/// Element types that numpy stores as plain numbers.
enum class NpyType { Bool, U8, I8, U16, I16, U32, I32, U64, I64, F16, F32, F64 };

/// numpy's name: "uint8", "float16" ...
std::string npyTypeName(NpyType type);
std::size_t npyTypeSize(NpyType type);

/// The type that stores T. F16 has no C++ type (half_float.h converts): its elements are std::uint16_t bit patterns,
/// accepted by as<std::uint16_t>().
template <typename T>
constexpr NpyType npyTypeOf() {
    static_assert(std::is_arithmetic_v<T>);
    if constexpr (std::is_same_v<T, bool>) return NpyType::Bool;
    if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? NpyType::F32 : NpyType::F64;
    constexpr bool kSigned = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return kSigned ? NpyType::I8 : NpyType::U8;
    if constexpr (sizeof(T) == 2) return kSigned ? NpyType::I16 : NpyType::U16;
    if constexpr (sizeof(T) == 4) return kSigned ? NpyType::I32 : NpyType::U32;
    return kSigned ? NpyType::I64 : NpyType::U64;
}

/// An array in native byte order and C order (files in Fortran order or the other byte order are rearranged on
/// reading).
struct NpyArray {
    NpyType type = NpyType::U8;
    std::vector<std::int64_t> shape;  ///< as numpy prints it; the last axis varies fastest
    std::vector<std::uint8_t> bytes;

    std::int64_t elementCount() const;
    /// Elements in C order. Throws DataError if T is not the stored type.
    template <typename T>
    const T* as() const;
    template <typename T>
    T* as();
    /// Any numeric type converted to double.
    std::vector<double> toDoubles() const;
    template <typename T>
    static NpyArray of(std::vector<std::int64_t> shape, const T* values);

  private:
    /// Throws DataError unless elements may be seen as `wanted`.
    void requireType(NpyType wanted) const;
};

template <typename T>
const T* NpyArray::as() const {
    requireType(npyTypeOf<T>());
    return reinterpret_cast<const T*>(bytes.data());
}

template <typename T>
T* NpyArray::as() {
    requireType(npyTypeOf<T>());
    return reinterpret_cast<T*>(bytes.data());
}

template <typename T>
NpyArray NpyArray::of(std::vector<std::int64_t> shape, const T* values) {
    NpyArray array{npyTypeOf<T>(), std::move(shape), {}};
    const auto* first = reinterpret_cast<const std::uint8_t*>(values);
    array.bytes.assign(first, first + static_cast<std::size_t>(array.elementCount()) * sizeof(T));
    return array;
}

/// Throws DataError: missing, damaged, truncated, object array. A shape that the file cannot hold is refused before
/// allocation.
NpyArray readNpy(const std::filesystem::path& path);
void writeNpy(const std::filesystem::path& path, const NpyArray& array);

/// An archive of arrays: array name -> array; object arrays are refused with DataError when asked for, never unpickled.
class NpzFile {
  public:
    explicit NpzFile(const std::filesystem::path& path);
    std::vector<std::string> names() const;
    bool contains(const std::string& name) const;
    NpyArray read(const std::string& name) const;
    /// A single text, numpy's type <U, as UTF-8. Throws DataError for anything else.
    std::string readText(const std::string& name) const;
    /// Type and shape without the data (npy_header.h); also of object arrays.
    NpyHeader header(const std::string& name) const;

  private:
    const ZipEntry* find(const std::string& name) const;
    std::string sourceOf(const std::string& name) const;

    std::shared_ptr<const ZipReader> zip_;
};

/// Atomically writes arrays in the order of the map; deflated unless `compress` is false.
void writeNpz(const std::filesystem::path& path, const std::map<std::string, NpyArray>& arrays, bool compress = true);

/// An array of an archive whose elements lie elsewhere, in native byte order and C order.
struct NpzMember {
    std::string name;
    NpyType type = NpyType::U8;
    std::vector<std::int64_t> shape;
    std::span<const std::uint8_t> bytes;
};
/// The same without a copy of the data, in the order given.
void writeNpz(const std::filesystem::path& path, const std::vector<NpzMember>& members, bool compress = true);

}  // namespace medseg
