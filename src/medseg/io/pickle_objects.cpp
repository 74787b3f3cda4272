#include "medseg/io/pickle_objects.h"

#include <unordered_map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/pickle_text.h"

namespace medseg {

namespace {

using Arguments = std::vector<PickleValue>;

struct Call {
    const std::string& name;
    const Arguments& arguments;
    const std::string& source;

    bool has(std::size_t index, PickleValue::Kind kind) const {
        return index < arguments.size() && arguments[index].kind() == kind;
    }
};

/// What a call gives; empty when its arguments have an unknown form.
using Resolver = std::optional<PickleValue> (*)(const Call& call);

std::optional<std::vector<std::int64_t>> integersOf(const PickleValue& value) {
    if (!value.isSequence()) return std::nullopt;
    std::vector<std::int64_t> result;
    for (const PickleValue& item : value.items()) {
        if (!item.isInt()) return std::nullopt;
        result.push_back(item.asInt());
    }
    return result;
}

std::optional<PickleValue> makeMapping(const Call& call) {
    PickleValue result = PickleValue::mapping(call.name);
    auto& entries = result.node()->entries;
    for (const PickleValue& argument : call.arguments) {
        if (argument.isDict()) {
            for (const auto& entry : argument.entries()) entries.push_back(entry);
        } else if (argument.isSequence()) {
            // A list of pairs, as Python 2 wrote ordered dictionaries.
            for (const PickleValue& pair : argument.items()) {
                if (!pair.isSequence() || pair.items().size() != 2) return std::nullopt;
                entries.emplace_back(pair.items()[0], pair.items()[1]);
            }
        } else if (!argument.isNone() && !argument.isOpaque()) {
            return std::nullopt;
        }
    }
    if (call.name == "builtins.dict" || call.name == "__builtin__.dict") result.node()->typeName = "dict";
    return result;
}

std::optional<PickleValue> makeList(const Call& call) {
    std::string typeName = call.name.substr(call.name.find('.') + 1);
    if (call.arguments.empty()) return PickleValue::list({}, std::move(typeName));
    if (call.arguments.size() != 1 || !call.arguments[0].isSequence()) return std::nullopt;
    const auto items = call.arguments[0].items();
    return PickleValue::list({items.begin(), items.end()}, std::move(typeName));
}

std::optional<PickleValue> makeTuple(const Call& call) {
    if (call.arguments.size() != 1 || !call.arguments[0].isSequence()) return std::nullopt;
    const auto items = call.arguments[0].items();
    PickleValue result = PickleValue::tuple({items.begin(), items.end()});
    if (call.name == "torch.Size") result.node()->typeName = call.name;
    return result;
}

/// int, float, str and bool of a value that is one already.
std::optional<PickleValue> makeScalar(const Call& call) {
    if (call.arguments.size() != 1) return std::nullopt;
    const PickleValue& value = call.arguments[0];
    const std::string type = call.name.substr(call.name.find('.') + 1);
    if (type == "int" && (value.isInt() || value.kind() == PickleValue::Kind::BigInt)) return value;
    if (type == "float" && (value.isInt() || value.kind() == PickleValue::Kind::Float))
        return PickleValue(value.asDouble());
    if (type == "str" && value.isString()) return value;
    if (type == "bool" && value.kind() == PickleValue::Kind::Bool) return value;
    return std::nullopt;
}

std::optional<PickleValue> makeBytes(const Call& call) {
    if (call.arguments.empty()) return PickleValue::bytes({});
    if (call.has(0, PickleValue::Kind::Bytes)) return call.arguments[0];
    if (call.has(0, PickleValue::Kind::String))
        if (auto bytes = encodeLatin1(call.arguments[0].asString())) return PickleValue::bytes(std::move(*bytes));
    return std::nullopt;
}

/// copyreg._reconstructor(type, base, state): object.__new__(type).
std::optional<PickleValue> reconstruct(const Call& call) {
    if (!call.has(0, PickleValue::Kind::Opaque)) return std::nullopt;
    return resolveCall(call.arguments[0], {}, call.source);
}

std::optional<PickleValue> makeNumpyScalar(const Call& call) {
    return numpyScalarOf(call.arguments);
}

std::optional<PickleValue> rebuildView(const Call& call, std::optional<TensorDtype> dtype) {
    if (call.arguments.size() < 4 || !call.arguments[0].isTensor() || !call.arguments[1].isInt()) return std::nullopt;
    auto shape = integersOf(call.arguments[2]);
    auto strides = integersOf(call.arguments[3]);
    if (!shape || !strides) return std::nullopt;
    TensorRecord record = call.arguments[0].asTensor();
    if (dtype) record.dtype = *dtype;
    record.offset = call.arguments[1].asInt();
    record.shape = std::move(*shape);
    record.strides = std::move(*strides);
    record.validate(call.source);
    return PickleValue(std::move(record));
}

/// torch._utils._rebuild_tensor(storage, offset, size, stride) and _rebuild_tensor_v2(..., requires_grad, hooks[,
/// metadata]).
std::optional<PickleValue> rebuildTensor(const Call& call) {
    return rebuildView(call, std::nullopt);
}

/// torch._utils._rebuild_tensor_v3(untyped storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]).
std::optional<PickleValue> rebuildUntypedTensor(const Call& call) {
    if (!call.has(6, PickleValue::Kind::Opaque)) return std::nullopt;
    const std::string& name = call.arguments[6].node()->typeName;
    if (!name.starts_with("torch.")) return std::nullopt;
    const auto dtype = tensorDtypeFromName(std::string_view(name).substr(6));
    return dtype ? rebuildView(call, dtype) : std::nullopt;
}

/// torch._utils._rebuild_parameter(tensor, requires_grad, hooks).
std::optional<PickleValue> rebuildParameter(const Call& call) {
    if (!call.has(0, PickleValue::Kind::Tensor)) return std::nullopt;
    TensorRecord record = call.arguments[0].asTensor();
    record.isParameter = true;
    return PickleValue(std::move(record));
}

/// torch._tensor._rebuild_from_type_v2(function, type, arguments, state).
std::optional<PickleValue> rebuildFromType(const Call& call) {
    if (!call.has(0, PickleValue::Kind::Opaque) || call.arguments.size() < 3 || !call.arguments[2].isSequence())
        return std::nullopt;
    const PickleValue& function = call.arguments[0];
    // Only the plain rebuilding functions: this one within itself could go on without end.
    if (function.node()->isCall || !function.node()->typeName.starts_with("torch._utils._rebuild_"))
        return std::nullopt;
    const auto items = call.arguments[2].items();
    PickleValue result = resolveCall(function, {items.begin(), items.end()}, call.source);
    if (result.isTensor() && call.has(1, PickleValue::Kind::Opaque) &&
        call.arguments[1].node()->typeName == "torch.nn.parameter.Parameter") {
        TensorRecord record = result.asTensor();
        record.isParameter = true;
        return PickleValue(std::move(record));
    }
    return result;
}

const std::unordered_map<std::string_view, Resolver>& resolvers() {
    static const std::unordered_map<std::string_view, Resolver> table = [] {
        std::unordered_map<std::string_view, Resolver> t;
        for (const char* name : {"collections.OrderedDict", "collections.defaultdict", "collections.Counter",
                                 "argparse.Namespace", "types.SimpleNamespace", "builtins.dict", "__builtin__.dict"})
            t[name] = makeMapping;
        for (const char* name : {"builtins.set", "__builtin__.set", "builtins.frozenset", "__builtin__.frozenset",
                                 "builtins.list", "__builtin__.list"})
            t[name] = makeList;
        for (const char* name : {"builtins.tuple", "__builtin__.tuple", "torch.Size"}) t[name] = makeTuple;
        for (const char* name :
             {"builtins.int", "__builtin__.int", "__builtin__.long", "builtins.float", "__builtin__.float",
              "builtins.str", "__builtin__.str", "builtins.bool", "__builtin__.bool"})
            t[name] = makeScalar;
        for (const char* name :
             {"builtins.bytes", "__builtin__.bytes", "builtins.bytearray", "__builtin__.bytearray", "_codecs.encode"})
            t[name] = makeBytes;
        for (const char* name : {"copyreg._reconstructor", "copy_reg._reconstructor"}) t[name] = reconstruct;
        for (const char* name : {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"})
            t[name] = makeNumpyScalar;
        for (const char* name : {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"})
            t[name] = rebuildTensor;
        t["torch._utils._rebuild_tensor_v3"] = rebuildUntypedTensor;
        for (const char* name : {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
                                 "torch.nn.parameter.Parameter"})
            t[name] = rebuildParameter;
        for (const char* name : {"torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"})
            t[name] = rebuildFromType;
        return t;
    }();
    return table;
}

}  // namespace

PickleValue resolveCall(const PickleValue& callable, const Arguments& arguments, const std::string& source) {
    const bool isReference = callable.isOpaque() && !callable.node()->isCall;
    const std::string name = isReference ? callable.node()->typeName : "call of " + callable.typeName();
    if (isReference) {
        if (const auto known = resolvers().find(name); known != resolvers().end())
            if (std::optional<PickleValue> result = known->second({name, arguments, source})) return std::move(*result);
    }
    PickleValue result = PickleValue::opaque(name, arguments);
    result.node()->isCall = true;
    return result;
}

void resolveBuild(PickleValue& object, const PickleValue& state) {
    const auto& node = object.node();
    if (!node) return;
    const bool isNamespace = node->typeName == "argparse.Namespace" || node->typeName == "types.SimpleNamespace";
    if (isNamespace && node->kind == PickleValue::Kind::Dict && state.isDict()) {
        const auto entries = state.entries();
        node->entries.assign(entries.begin(), entries.end());
        return;
    }
    node->state = state;
}

std::optional<TensorDtype> storageDtype(const std::string& typeName) {
    static const std::unordered_map<std::string_view, TensorDtype> table = {
        {"FloatStorage", TensorDtype::F32},        {"DoubleStorage", TensorDtype::F64},
        {"HalfStorage", TensorDtype::F16},         {"BFloat16Storage", TensorDtype::BF16},
        {"LongStorage", TensorDtype::I64},         {"IntStorage", TensorDtype::I32},
        {"ShortStorage", TensorDtype::I16},        {"CharStorage", TensorDtype::I8},
        {"ByteStorage", TensorDtype::U8},          {"BoolStorage", TensorDtype::Bool},
        {"UntypedStorage", TensorDtype::U8},       {"_UntypedStorage", TensorDtype::U8},
        {"ComplexFloatStorage", TensorDtype::C64}, {"ComplexDoubleStorage", TensorDtype::C128},
        {"QInt8Storage", TensorDtype::I8},         {"QUInt8Storage", TensorDtype::U8},
        {"QInt32Storage", TensorDtype::I32},
    };
    if (!typeName.starts_with("torch.")) return std::nullopt;
    const auto found = table.find(std::string_view(typeName).substr(typeName.rfind('.') + 1));
    return found == table.end() ? std::nullopt : std::optional(found->second);
}

namespace {

/// Keys are strings, or numbers in old files.
std::optional<std::string> keyText(const PickleValue& value) {
    if (value.isString()) return value.asString();
    if (value.isInt()) return fmt::format("{}", value.asInt());
    return std::nullopt;
}

}  // namespace

PickleValue resolvePersistentId(const PickleValue& id, PickleStorageSource* storages, const std::string& source) {
    const auto unknown = [&] {
        PickleValue result = PickleValue::opaque("persistent id", {id});
        result.node()->isCall = true;
        return result;
    };
    if (storages == nullptr || id.kind() != PickleValue::Kind::Tuple) return unknown();
    const auto items = id.items();
    if (items.size() < 5 || !items[0].isString() || items[0].asString() != "storage" || !items[1].isOpaque() ||
        !items[4].isInt())
        return unknown();
    const auto dtype = storageDtype(items[1].node()->typeName);
    const auto key = keyText(items[2]);
    if (!dtype || !key) return unknown();
    PickleStorageSource::Request request;
    request.dtype = *dtype;
    request.key = *key;
    if (items[3].isString()) request.location = items[3].asString();
    request.elementCount = items[4].asInt();
    if (request.elementCount < 0) throw DataError(source, fmt::format("storage {} has a negative size", request.key));
    if (items.size() > 5 && items[5].kind() == PickleValue::Kind::Tuple) {
        const auto view = items[5].items();
        if (view.size() != 3 || !keyText(view[0]) || !view[1].isInt() || !view[2].isInt()) return unknown();
        request.viewKey = *keyText(view[0]);
        request.viewOffset = view[1].asInt();
        request.viewCount = view[2].asInt();
    }
    const std::shared_ptr<const TensorStorage> storage = storages->open(request);
    if (!storage) return unknown();
    TensorRecord record;
    record.dtype = *dtype;
    record.shape = {static_cast<std::int64_t>(storage->bytes.size() / tensorDtypeSize(*dtype))};
    record.strides = {1};
    record.storage = storage;
    return PickleValue(std::move(record));
}

}  // namespace medseg
