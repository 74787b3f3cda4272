// A tensor as a checkpoint holds it: element type, shape, strides and bytes, without any network library. Networks wrap
// the bytes (torch::from_blob) instead of copying them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace medseg {

enum class TensorDtype { Bool, U8, I8, I16, I32, I64, U16, U32, U64, F16, BF16, F32, F64, C64, C128, F8E4M3, F8E5M2 };

/// torch's name: "float32", "bfloat16", "int64", "bool" ...
const char* tensorDtypeName(TensorDtype dtype);
/// Bytes of one element.
std::size_t tensorDtypeSize(TensorDtype dtype);
/// From torch's name ("float16"; "half", "fp16" and the like too). Empty for an unknown name.
std::optional<TensorDtype> tensorDtypeFromName(std::string_view name);
/// True for F16, BF16, F32 and F64: what a change of precision applies to.
bool isFloating(TensorDtype dtype);

/// Reverses the bytes of every element (of both halves of complex numbers): from the other byte order.
void reverseByteOrder(std::vector<std::uint8_t>& bytes, TensorDtype dtype);

/// Bytes that one or more tensors view, in native byte order: a piece of a mapped file or memory of its own.
struct TensorStorage {
    std::span<const std::uint8_t> bytes;
    std::shared_ptr<const void> owner;  ///< keeps `bytes` valid
    std::string location;               ///< device the file names, e.g. "cpu", "cuda:0"; empty when it names none
};

/// A view of a storage. Copies share the bytes.
struct TensorRecord {
    TensorDtype dtype = TensorDtype::F32;
    std::vector<std::int64_t> shape;    ///< as torch prints it; empty for a scalar
    std::vector<std::int64_t> strides;  ///< in elements, as long as `shape`
    std::int64_t offset = 0;            ///< of the first element in the storage, in elements
    std::shared_ptr<const TensorStorage> storage;
    bool isParameter = false;  ///< saved as torch.nn.Parameter
    bool isNumpy = false;      ///< saved as numpy.ndarray

    /// Dense row-major tensor over bytes that `owner` keeps alive. Throws DataError if `bytes` has another length than
    /// `shape` needs.
    static TensorRecord over(TensorDtype dtype, std::vector<std::int64_t> shape, std::span<const std::uint8_t> bytes,
                             std::shared_ptr<const void> owner);
    /// Dense row-major tensor that owns its bytes (exactly as many as `shape` needs, else DataError).
    static TensorRecord owning(TensorDtype dtype, std::vector<std::int64_t> shape, std::vector<std::uint8_t> bytes);
    /// Dense float32 tensor that owns a copy of `values`.
    static TensorRecord ofFloats(std::vector<std::int64_t> shape, std::span<const float> values);

    std::int64_t elementCount() const;
    /// elementCount() elements, packed.
    std::uint64_t byteCount() const;
    /// Row-major without gaps (axes of length 1 may have any stride).
    bool isContiguous() const;
    /// The first element. Need not be aligned for `dtype` when the bytes are a mapped file.
    const std::uint8_t* data() const;
    /// The elements' bytes in row-major order: no copy when isContiguous() (then `storage` is shared).
    TensorRecord contiguous() const;
    /// Row-major bytes of a contiguous tensor. Throws DataError if it is not.
    std::span<const std::uint8_t> packedBytes() const;
    /// Rounded to nearest even. Shares the bytes when nothing changes. Throws DataError for complex to real.
    TensorRecord converted(TensorDtype target) const;
    /// Values in row-major order. Throws DataError for complex tensors.
    std::vector<float> toFloats() const;
    std::vector<double> toDoubles() const;
    /// "float32[64, 3, 7, 7]".
    std::string describe() const;

    /// Throws DataError naming `source` unless the view lies within its storage: rank, sizes and strides sane, no
    /// overflow, last element inside. Views that repeat elements (stride 0) are limited to 2^24 elements, so that a
    /// damaged shape cannot ask for more memory than the file justifies.
    void validate(const std::string& source) const;
};

/// Row-major strides for `shape`.
std::vector<std::int64_t> rowMajorStrides(std::span<const std::int64_t> shape);
/// "[64, 3, 7, 7]".
std::string formatShape(std::span<const std::int64_t> shape);
/// Product of the sizes. Throws DataError naming `source` for a negative size or a product above 2^62.
std::int64_t checkedElementCount(std::span<const std::int64_t> shape, const std::string& source);

/// Names and tensors in the order of the file: a flat state dict.
using NamedTensors = std::vector<std::pair<std::string, TensorRecord>>;

}  // namespace medseg
