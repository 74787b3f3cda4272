// Walking the elements of a tensor record in row-major order, whatever its strides and type.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "medseg/base/error.h"
#include "medseg/io/half_float.h"
#include "medseg/io/tensor_record.h"

namespace medseg {

/// Calls visit(start, count, stride) for every run along the last axis in row-major order, in elements from data().
/// A contiguous tensor is one run.
template <typename Visit>
void forEachRow(const TensorRecord& tensor, Visit&& visit) {
    const std::int64_t total = tensor.elementCount();
    if (total == 0) return;
    if (tensor.isContiguous()) {
        visit(std::int64_t{0}, total, std::int64_t{1});
        return;
    }
    const std::size_t outer = tensor.shape.size() - 1;
    const std::int64_t count = tensor.shape[outer];
    std::vector<std::int64_t> index(outer, 0);
    std::int64_t start = 0;
    for (std::int64_t row = 0; row < total / count; ++row) {
        visit(start, count, tensor.strides[outer]);
        for (std::size_t axis = outer; axis-- > 0;) {
            start += tensor.strides[axis];
            if (++index[axis] < tensor.shape[axis]) break;
            start -= tensor.strides[axis] * tensor.shape[axis];
            index[axis] = 0;
        }
    }
}

/// Calls visit(value) for every element in row-major order; the value has the element's arithmetic type, float for the
/// 16-bit floats. Throws DataError for complex and 8-bit floating types.
template <typename Visit>
void forEachElement(const TensorRecord& tensor, Visit&& visit) {
    if (tensor.elementCount() == 0) return;
    const std::uint8_t* base = tensor.data();
    const auto walk = [&]<typename Stored>(Stored, auto&& decode) {
        forEachRow(tensor, [&](std::int64_t start, std::int64_t count, std::int64_t stride) {
            for (std::int64_t i = 0; i < count; ++i) {
                Stored stored;
                std::memcpy(&stored, base + static_cast<std::size_t>(start + i * stride) * sizeof(Stored),
                            sizeof(Stored));
                visit(decode(stored));
            }
        });
    };
    const auto same = [](auto value) { return value; };
    switch (tensor.dtype) {
        case TensorDtype::Bool:
            return walk(std::uint8_t{}, [](std::uint8_t v) { return v != 0 ? 1 : 0; });
        case TensorDtype::U8:
            return walk(std::uint8_t{}, same);
        case TensorDtype::I8:
            return walk(std::int8_t{}, same);
        case TensorDtype::I16:
            return walk(std::int16_t{}, same);
        case TensorDtype::I32:
            return walk(std::int32_t{}, same);
        case TensorDtype::I64:
            return walk(std::int64_t{}, same);
        case TensorDtype::U16:
            return walk(std::uint16_t{}, same);
        case TensorDtype::U32:
            return walk(std::uint32_t{}, same);
        case TensorDtype::U64:
            return walk(std::uint64_t{}, same);
        case TensorDtype::F16:
            return walk(std::uint16_t{}, halfToFloat);
        case TensorDtype::BF16:
            return walk(std::uint16_t{}, bfloat16ToFloat);
        case TensorDtype::F32:
            return walk(float{}, same);
        case TensorDtype::F64:
            return walk(double{}, same);
        default:
            throw DataError("values of tensor " + tensor.describe() + " have no real number type");
    }
}

}  // namespace medseg
