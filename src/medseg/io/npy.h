// numpy's .npy and .npz files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace medseg {

/// Element types that numpy stores as plain numbers.
enum class NpyType { Bool, U8, I8, U16, I16, U32, I32, U64, I64, F16, F32, F64 };

/// numpy's name: "uint8", "float16" ...
std::string npyTypeName(NpyType type);
std::size_t npyTypeSize(NpyType type);

/// An array in native byte order and C order (files in Fortran order or the other byte order are rearranged on reading).
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
};

NpyArray readNpy(const std::filesystem::path& path);
void writeNpy(const std::filesystem::path& path, const NpyArray& array);

/// Array name -> array; object arrays are refused with DataError when asked for, never unpickled.
class NpzFile {
  public:
    explicit NpzFile(const std::filesystem::path& path);
    std::vector<std::string> names() const;
    bool contains(const std::string& name) const;
    NpyArray read(const std::string& name) const;

  private:
    std::filesystem::path path_;
};

/// Atomically writes arrays in the order of the map; deflated unless `compress` is false.
void writeNpz(const std::filesystem::path& path, const std::map<std::string, NpyArray>& arrays, bool compress = true);

}  // namespace medseg
