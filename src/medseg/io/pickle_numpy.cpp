// What numpy puts into pickles: dtypes, scalars and arrays.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/pickle_objects.h"

namespace medseg {

namespace {

struct NumpyDtype {
    TensorDtype dtype;
    bool bigEndian = false;
};

std::optional<TensorDtype> dtypeOfCode(std::string_view code) {
    static constexpr std::pair<std::string_view, TensorDtype> codes[] = {
        {"b1", TensorDtype::Bool}, {"u1", TensorDtype::U8},    {"i1", TensorDtype::I8},  {"i2", TensorDtype::I16},
        {"i4", TensorDtype::I32},  {"i8", TensorDtype::I64},   {"u2", TensorDtype::U16}, {"u4", TensorDtype::U32},
        {"u8", TensorDtype::U64},  {"f2", TensorDtype::F16},   {"f4", TensorDtype::F32}, {"f8", TensorDtype::F64},
        {"c8", TensorDtype::C64},  {"c16", TensorDtype::C128},
    };
    for (const auto& [name, dtype] : codes)
        if (name == code) return dtype;
    return std::nullopt;
}

/// numpy.dtype("f4", ...) with the state (version, byte order, ...).
std::optional<NumpyDtype> numpyDtypeOf(const PickleValue& value) {
    if (!value.isOpaque() || !value.node()->isCall || value.typeName() != "numpy.dtype") return std::nullopt;
    if (value.items().empty() || !value.items()[0].isString()) return std::nullopt;
    std::string_view code = value.items()[0].asString();
    NumpyDtype result{};
    if (!code.empty() && (code[0] == '<' || code[0] == '>' || code[0] == '|' || code[0] == '=')) {
        result.bigEndian = code[0] == '>';
        code.remove_prefix(1);
    }
    const auto dtype = dtypeOfCode(code);
    if (!dtype) return std::nullopt;
    result.dtype = *dtype;
    const PickleValue& state = value.state();
    if (state.isSequence() && state.items().size() > 1 && state.items()[1].isString())
        result.bigEndian = state.items()[1].asString() == ">";
    return result;
}

/// Raw array bytes: bytes, or a Python 2 str.
std::optional<std::string> rawBytesOf(const PickleValue& value) {
    if (value.kind() == PickleValue::Kind::Bytes) return value.asBytes();
    if (value.isString()) return value.asString();
    return std::nullopt;
}

std::optional<std::vector<std::int64_t>> shapeOf(const PickleValue& value) {
    if (!value.isSequence()) return std::nullopt;
    std::vector<std::int64_t> shape;
    for (const PickleValue& item : value.items()) {
        if (!item.isInt()) return std::nullopt;
        shape.push_back(item.asInt());
    }
    return shape;
}

TensorRecord makeArray(const NumpyDtype& type, std::vector<std::int64_t> shape, bool fortranOrder,
                       const std::string& raw, const std::string& source) {
    const std::int64_t count = checkedElementCount(shape, source);
    const std::size_t size = tensorDtypeSize(type.dtype);
    if (raw.size() % size != 0 || static_cast<std::uint64_t>(count) != raw.size() / size)
        throw DataError(source, fmt::format("numpy array {}{} has {} bytes of data", tensorDtypeName(type.dtype),
                                            formatShape(shape), raw.size()));
    std::vector<std::uint8_t> bytes(raw.begin(), raw.end());
    const bool nativeIsBig = nativeByteOrder() == ByteOrder::Big;
    if (type.bigEndian != nativeIsBig) reverseByteOrder(bytes, type.dtype);
    TensorRecord record = TensorRecord::owning(type.dtype, shape, std::move(bytes));
    record.isNumpy = true;
    if (fortranOrder) {
        std::int64_t step = 1;
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            record.strides[axis] = step;
            step *= std::max<std::int64_t>(shape[axis], 1);
        }
    }
    return record;
}

/// numpy.core.multiarray._reconstruct(ndarray, (0,), "b") with the state (version, shape, dtype, fortran, data).
std::optional<TensorRecord> reconstructedArray(const PickleNode& node, const std::string& source) {
    if (!node.state.isSequence() || node.state.items().size() != 5) return std::nullopt;
    const auto state = node.state.items();
    const auto shape = shapeOf(state[1]);
    const auto type = numpyDtypeOf(state[2]);
    const auto raw = rawBytesOf(state[4]);
    if (!shape || !type || !raw || state[3].kind() != PickleValue::Kind::Bool) return std::nullopt;
    return makeArray(*type, *shape, state[3].asBool(), *raw, source);
}

/// numpy.core.numeric._frombuffer(data, dtype, shape, order), as protocol 5 writes arrays.
std::optional<TensorRecord> bufferArray(const PickleNode& node, const std::string& source) {
    if (node.items.size() != 4 || !node.items[3].isString()) return std::nullopt;
    const auto shape = shapeOf(node.items[2]);
    const auto type = numpyDtypeOf(node.items[1]);
    const auto raw = rawBytesOf(node.items[0]);
    if (!shape || !type || !raw) return std::nullopt;
    return makeArray(*type, *shape, node.items[3].asString() == "F", *raw, source);
}

}  // namespace

std::optional<TensorRecord> numpyArrayOf(const PickleNode& node, const std::string& source) {
    if (node.kind != PickleValue::Kind::Opaque || !node.isCall) return std::nullopt;
    if (node.typeName == "numpy.core.multiarray._reconstruct" || node.typeName == "numpy._core.multiarray._reconstruct")
        return reconstructedArray(node, source);
    if (node.typeName == "numpy.core.numeric._frombuffer" || node.typeName == "numpy._core.numeric._frombuffer")
        return bufferArray(node, source);
    return std::nullopt;
}

std::optional<PickleValue> numpyScalarOf(const std::vector<PickleValue>& arguments) {
    if (arguments.size() != 2) return std::nullopt;
    const auto type = numpyDtypeOf(arguments[0]);
    const auto raw = rawBytesOf(arguments[1]);
    if (!type || !raw || raw->size() != tensorDtypeSize(type->dtype)) return std::nullopt;
    const TensorRecord record = makeArray(*type, {}, false, *raw, "numpy scalar");
    switch (record.dtype) {
        case TensorDtype::Bool:
            return PickleValue(record.data()[0] != 0);
        case TensorDtype::C64:
        case TensorDtype::C128:
            return std::nullopt;
        case TensorDtype::U64: {
            const auto value = loadNumber<std::uint64_t>(record.data(), nativeByteOrder());
            if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
                return PickleValue::bigInt(fmt::format("{}", value));
            return PickleValue(value);
        }
        case TensorDtype::I64:
            return PickleValue(loadNumber<std::int64_t>(record.data(), nativeByteOrder()));
        default:
            break;
    }
    const double value = record.toDoubles().front();
    return isFloating(record.dtype) ? PickleValue(value) : PickleValue(static_cast<std::int64_t>(value));
}

}  // namespace medseg
