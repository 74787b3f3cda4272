#include "medseg/io/tensor_record.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/io/half_float.h"
#include "medseg/io/tensor_elements.h"

namespace medseg {

namespace {

struct DtypeFacts {
    TensorDtype dtype;
    const char* name;
    const char* shortName;
    std::size_t size;
};

constexpr DtypeFacts kDtypes[] = {
    {TensorDtype::Bool, "bool", "bool", 1},
    {TensorDtype::U8, "uint8", "byte", 1},
    {TensorDtype::I8, "int8", "char", 1},
    {TensorDtype::I16, "int16", "short", 2},
    {TensorDtype::I32, "int32", "int", 4},
    {TensorDtype::I64, "int64", "long", 8},
    {TensorDtype::U16, "uint16", "u16", 2},
    {TensorDtype::U32, "uint32", "u32", 4},
    {TensorDtype::U64, "uint64", "u64", 8},
    {TensorDtype::F16, "float16", "fp16", 2},
    {TensorDtype::BF16, "bfloat16", "bf16", 2},
    {TensorDtype::F32, "float32", "fp32", 4},
    {TensorDtype::F64, "float64", "fp64", 8},
    {TensorDtype::C64, "complex64", "c64", 8},
    {TensorDtype::C128, "complex128", "c128", 16},
    {TensorDtype::F8E4M3, "float8_e4m3fn", "f8e4m3", 1},
    {TensorDtype::F8E5M2, "float8_e5m2", "f8e5m2", 1},
};

constexpr std::int64_t kLargestRepeatingView = std::int64_t{1} << 24;
constexpr std::size_t kLargestRank = 64;

const DtypeFacts& factsOf(TensorDtype dtype) {
    return kDtypes[static_cast<std::size_t>(dtype)];
}

/// Copies the elements of `source`, whatever its strides, to `target` in row-major order.
template <typename Element>
void gather(const TensorRecord& source, Element* target) {
    const std::uint8_t* base = source.data();
    forEachRow(source, [&](std::int64_t start, std::int64_t count, std::int64_t stride) {
        for (std::int64_t i = 0; i < count; ++i, ++target)
            std::memcpy(target, base + static_cast<std::size_t>(start + i * stride) * sizeof(Element), sizeof(Element));
    });
}

struct Bytes16 {
    std::uint8_t bytes[16];
};

template <typename Target>
std::vector<Target> valuesAs(const TensorRecord& tensor) {
    std::vector<Target> values(static_cast<std::size_t>(tensor.elementCount()));
    std::size_t position = 0;
    forEachElement(tensor, [&](auto value) { values[position++] = static_cast<Target>(value); });
    return values;
}

template <typename Stored, typename Convert>
void convertInto(const TensorRecord& tensor, std::uint8_t* target, Convert&& convert) {
    forEachElement(tensor, [&](auto value) {
        const Stored stored = convert(value);
        std::memcpy(target, &stored, sizeof stored);
        target += sizeof stored;
    });
}

void convertElements(const TensorRecord& tensor, TensorDtype dtype, std::uint8_t* target) {
    switch (dtype) {
        case TensorDtype::F32:
            return convertInto<float>(tensor, target, [](auto v) { return static_cast<float>(v); });
        case TensorDtype::F64:
            return convertInto<double>(tensor, target, [](auto v) { return static_cast<double>(v); });
        case TensorDtype::F16:
            return convertInto<std::uint16_t>(tensor, target,
                                              [](auto v) { return floatToHalf(static_cast<float>(v)); });
        case TensorDtype::BF16:
            return convertInto<std::uint16_t>(tensor, target,
                                              [](auto v) { return floatToBfloat16(static_cast<float>(v)); });
        default:
            throw DataError(fmt::format("cannot convert tensor {} to {}: only floating types are targets",
                                        tensor.describe(), tensorDtypeName(dtype)));
    }
}

}  // namespace

const char* tensorDtypeName(TensorDtype dtype) {
    return factsOf(dtype).name;
}

std::size_t tensorDtypeSize(TensorDtype dtype) {
    return factsOf(dtype).size;
}

std::optional<TensorDtype> tensorDtypeFromName(std::string_view name) {
    for (const DtypeFacts& facts : kDtypes)
        if (name == facts.name || name == facts.shortName) return facts.dtype;
    if (name == "half") return TensorDtype::F16;
    if (name == "float") return TensorDtype::F32;
    if (name == "double") return TensorDtype::F64;
    return std::nullopt;
}

bool isFloating(TensorDtype dtype) {
    return dtype == TensorDtype::F16 || dtype == TensorDtype::BF16 || dtype == TensorDtype::F32 ||
           dtype == TensorDtype::F64;
}

void reverseByteOrder(std::vector<std::uint8_t>& bytes, TensorDtype dtype) {
    const bool isComplex = dtype == TensorDtype::C64 || dtype == TensorDtype::C128;
    const std::size_t size = tensorDtypeSize(dtype) / (isComplex ? 2 : 1);
    if (size == 1) return;
    for (std::size_t start = 0; start + size <= bytes.size(); start += size)
        std::reverse(bytes.data() + start, bytes.data() + start + size);
}

std::vector<std::int64_t> rowMajorStrides(std::span<const std::int64_t> shape) {
    std::vector<std::int64_t> strides(shape.size());
    std::int64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        strides[axis] = step;
        step *= std::max<std::int64_t>(shape[axis], 1);
    }
    return strides;
}

std::string formatShape(std::span<const std::int64_t> shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::int64_t checkedElementCount(std::span<const std::int64_t> shape, const std::string& source) {
    if (shape.size() > kLargestRank)
        throw DataError(source,
                        fmt::format("tensor with {} axes: at most {} are possible", shape.size(), kLargestRank));
    constexpr std::int64_t limit = std::int64_t{1} << 62;
    std::int64_t product = 1;  // of the sizes that are not 0, so that [0, 2^40, 2^40] is refused too
    bool empty = false;
    for (const std::int64_t size : shape) {
        if (size < 0) throw DataError(source, fmt::format("negative tensor size in {}", formatShape(shape)));
        if (size == 0) {
            empty = true;
            continue;
        }
        if (product > limit / size)
            throw DataError(source, fmt::format("impossible tensor shape {}", formatShape(shape)));
        product *= size;
    }
    return empty ? 0 : product;
}

TensorRecord TensorRecord::over(TensorDtype dtype, std::vector<std::int64_t> shape, std::span<const std::uint8_t> bytes,
                                std::shared_ptr<const void> owner) {
    const std::int64_t count = checkedElementCount(shape, "tensor");
    const std::size_t size = tensorDtypeSize(dtype);
    if (bytes.size() % size != 0 || bytes.size() / size != static_cast<std::size_t>(count))
        throw DataError(fmt::format("tensor {}{} needs {} elements of {} bytes, {} bytes are given",
                                    tensorDtypeName(dtype), formatShape(shape), count, size, bytes.size()));
    TensorRecord record;
    record.dtype = dtype;
    record.strides = rowMajorStrides(shape);
    record.shape = std::move(shape);
    record.storage = std::make_shared<const TensorStorage>(TensorStorage{bytes, std::move(owner), "cpu"});
    return record;
}

TensorRecord TensorRecord::owning(TensorDtype dtype, std::vector<std::int64_t> shape, std::vector<std::uint8_t> bytes) {
    auto owner = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
    const std::span<const std::uint8_t> view(*owner);
    return over(dtype, std::move(shape), view, std::move(owner));
}

TensorRecord TensorRecord::ofFloats(std::vector<std::int64_t> shape, std::span<const float> values) {
    std::vector<std::uint8_t> bytes(values.size_bytes());
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return owning(TensorDtype::F32, std::move(shape), std::move(bytes));
}

std::int64_t TensorRecord::elementCount() const {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    return count;
}

std::uint64_t TensorRecord::byteCount() const {
    return static_cast<std::uint64_t>(elementCount()) * tensorDtypeSize(dtype);
}

bool TensorRecord::isContiguous() const {
    std::int64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        if (shape[axis] == 0) return true;
        if (shape[axis] != 1 && strides[axis] != step) return false;
        step *= shape[axis];
    }
    return true;
}

const std::uint8_t* TensorRecord::data() const {
    return storage->bytes.data() + static_cast<std::size_t>(offset) * tensorDtypeSize(dtype);
}

TensorRecord TensorRecord::contiguous() const {
    if (isContiguous()) return *this;
    std::vector<std::uint8_t> bytes(byteCount());
    switch (tensorDtypeSize(dtype)) {
        case 1:
            gather(*this, bytes.data());
            break;
        case 2:
            gather(*this, reinterpret_cast<std::uint16_t*>(bytes.data()));
            break;
        case 4:
            gather(*this, reinterpret_cast<std::uint32_t*>(bytes.data()));
            break;
        case 8:
            gather(*this, reinterpret_cast<std::uint64_t*>(bytes.data()));
            break;
        default:
            gather(*this, reinterpret_cast<Bytes16*>(bytes.data()));
            break;
    }
    TensorRecord packed = owning(dtype, shape, std::move(bytes));
    packed.isParameter = isParameter;
    packed.isNumpy = isNumpy;
    return packed;
}

std::span<const std::uint8_t> TensorRecord::packedBytes() const {
    if (!isContiguous()) throw DataError("tensor " + describe() + " is not contiguous: call contiguous() first");
    if (elementCount() == 0) return {};
    return {data(), static_cast<std::size_t>(byteCount())};
}

TensorRecord TensorRecord::converted(TensorDtype target) const {
    if (target == dtype) return *this;
    const std::size_t size = tensorDtypeSize(target);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(elementCount()) * size);
    if (isContiguous()) {
        constexpr std::int64_t kGrain = std::int64_t{1} << 18;
        parallelFor(0, elementCount(), kGrain, [&](std::int64_t first, std::int64_t last) {
            TensorRecord part = *this;
            part.shape = {last - first};
            part.strides = {1};
            part.offset += first;
            convertElements(part, target, bytes.data() + static_cast<std::size_t>(first) * size);
        });
    } else {
        convertElements(*this, target, bytes.data());
    }
    TensorRecord result = owning(target, shape, std::move(bytes));
    result.isParameter = isParameter;
    result.isNumpy = isNumpy;
    return result;
}

std::vector<float> TensorRecord::toFloats() const {
    return valuesAs<float>(*this);
}

std::vector<double> TensorRecord::toDoubles() const {
    return valuesAs<double>(*this);
}

std::string TensorRecord::describe() const {
    return tensorDtypeName(dtype) + formatShape(shape);
}

void TensorRecord::validate(const std::string& source) const {
    const std::int64_t count = checkedElementCount(shape, source);
    if (strides.size() != shape.size())
        throw DataError(source, fmt::format("tensor with {} sizes but {} strides", shape.size(), strides.size()));
    if (!storage) throw DataError(source, "tensor without storage");
    const std::size_t size = tensorDtypeSize(dtype);
    const auto available = static_cast<std::int64_t>(storage->bytes.size() / size);
    const auto outside = [&] {
        return DataError(
            source, fmt::format("tensor {} (strides {}, offset {}) lies outside its storage of {} elements", describe(),
                                formatShape(strides), offset, available));
    };
    if (offset < 0 || offset > available) throw outside();
    for (const std::int64_t stride : strides)
        if (stride < 0) throw outside();
    if (count == 0) return;
    std::int64_t last = offset;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        const std::int64_t steps = shape[axis] - 1;
        if (steps > 0 && strides[axis] > (available - last) / steps) throw outside();
        last += steps * strides[axis];
    }
    if (last >= available) throw outside();
    if (count > available && count > kLargestRepeatingView)
        throw DataError(source, fmt::format("tensor {} repeats the {} elements of its storage more than is plausible",
                                            describe(), available));
}

}  // namespace medseg
