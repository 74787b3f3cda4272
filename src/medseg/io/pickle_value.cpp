#include "medseg/io/pickle_value.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/pickle_text.h"

namespace medseg {

namespace {

const PickleValue kNone;
const std::shared_ptr<PickleNode> kNoNode;

const char* kindName(PickleValue::Kind kind) {
    switch (kind) {
        case PickleValue::Kind::None:
            return "None";
        case PickleValue::Kind::Bool:
            return "bool";
        case PickleValue::Kind::Int:
        case PickleValue::Kind::BigInt:
            return "int";
        case PickleValue::Kind::Float:
            return "float";
        case PickleValue::Kind::String:
            return "str";
        case PickleValue::Kind::Bytes:
            return "bytes";
        case PickleValue::Kind::List:
            return "list";
        case PickleValue::Kind::Tuple:
            return "tuple";
        case PickleValue::Kind::Dict:
            return "dict";
        case PickleValue::Kind::Tensor:
            return "tensor";
        case PickleValue::Kind::Opaque:
            return "object";
    }
    return "value";
}

std::shared_ptr<PickleNode> makeNode(PickleValue::Kind kind, std::string typeName,
                                     std::vector<PickleValue> items = {}) {
    auto node = std::make_shared<PickleNode>();
    node->kind = kind;
    node->typeName = std::move(typeName);
    node->items = std::move(items);
    return node;
}

}  // namespace

PickleValue::PickleValue(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}

PickleValue::PickleValue(TensorRecord tensor) : data_(std::make_shared<const TensorRecord>(std::move(tensor))) {}

PickleValue PickleValue::bytes(std::string bytes) {
    PickleValue value;
    value.data_ = Bytes{std::make_shared<const std::string>(std::move(bytes))};
    return value;
}

PickleValue PickleValue::bigInt(std::string decimal) {
    PickleValue value;
    value.data_ = Digits{std::make_shared<const std::string>(std::move(decimal))};
    return value;
}

PickleValue PickleValue::list(std::vector<PickleValue> items, std::string typeName) {
    return PickleValue(makeNode(Kind::List, std::move(typeName), std::move(items)));
}

PickleValue PickleValue::tuple(std::vector<PickleValue> items) {
    return PickleValue(makeNode(Kind::Tuple, "tuple", std::move(items)));
}

PickleValue PickleValue::dict() {
    return mapping("dict");
}

PickleValue PickleValue::orderedDict() {
    return mapping("collections.OrderedDict");
}

PickleValue PickleValue::mapping(std::string typeName) {
    return PickleValue(makeNode(Kind::Dict, std::move(typeName)));
}

PickleValue PickleValue::stateDict(const NamedTensors& tensors) {
    PickleValue result = orderedDict();
    for (const auto& [name, tensor] : tensors) result.node()->entries.emplace_back(name, tensor);
    return result;
}

PickleValue PickleValue::opaque(std::string typeName, std::vector<PickleValue> arguments) {
    return PickleValue(makeNode(Kind::Opaque, std::move(typeName), std::move(arguments)));
}

PickleValue::Kind PickleValue::kind() const {
    switch (data_.index()) {
        case 0:
            return Kind::None;
        case 1:
            return Kind::Bool;
        case 2:
            return Kind::Int;
        case 3:
            return Kind::Float;
        case 4:
            return Kind::String;
        case 5:
            return Kind::Bytes;
        case 6:
            return Kind::BigInt;
        case 7:
            return Kind::Tensor;
        default:
            return node()->kind;
    }
}

void PickleValue::failKind(const char* expected) const {
    throw DataError(fmt::format("{} expected, {} found", expected, typeName()));
}

bool PickleValue::asBool() const {
    if (const bool* value = std::get_if<bool>(&data_)) return *value;
    failKind("bool");
}

std::int64_t PickleValue::asInt() const {
    if (const std::int64_t* value = std::get_if<std::int64_t>(&data_)) return *value;
    failKind("int");
}

double PickleValue::asDouble() const {
    if (const double* value = std::get_if<double>(&data_)) return *value;
    if (const std::int64_t* value = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*value);
    failKind("number");
}

const std::string& PickleValue::asString() const {
    if (const Text* text = std::get_if<Text>(&data_)) return **text;
    failKind("str");
}

const std::string& PickleValue::asBytes() const {
    if (const Bytes* value = std::get_if<Bytes>(&data_)) return *value->text;
    failKind("bytes");
}

std::string PickleValue::asDecimal() const {
    if (const Digits* value = std::get_if<Digits>(&data_)) return *value->text;
    return fmt::format("{}", asInt());
}

const TensorRecord& PickleValue::asTensor() const {
    if (const auto* value = std::get_if<std::shared_ptr<const TensorRecord>>(&data_)) return **value;
    failKind("tensor");
}

std::span<const PickleValue> PickleValue::items() const {
    if (!isSequence() && !isOpaque()) failKind("list or tuple");
    return node()->items;
}

std::span<const PickleValue::Entry> PickleValue::entries() const {
    if (!isDict() && !isOpaque()) failKind("dict");
    return node()->entries;
}

std::string PickleValue::typeName() const {
    if (const auto& contents = node()) return contents->typeName;
    if (isTensor()) return asTensor().isNumpy ? "numpy.ndarray" : "torch.Tensor";
    return kindName(kind());
}

const PickleValue& PickleValue::state() const {
    return node() ? node()->state : kNone;
}

const PickleValue* PickleValue::find(std::string_view key) const {
    if (!isDict()) return nullptr;
    for (const Entry& entry : node()->entries)
        if (entry.first.isString() && entry.first.asString() == key) return &entry.second;
    return nullptr;
}

const PickleValue& PickleValue::at(std::string_view key) const {
    if (!isDict()) failKind("dict");
    if (const PickleValue* value = find(key)) return *value;
    throw DataError(fmt::format("entry \"{}\" is missing", key));
}

void PickleValue::set(const PickleValue& key, PickleValue value) {
    if (!isDict()) failKind("dict");
    const auto same = [&](const PickleValue& other) {
        if (key.kind() != other.kind()) return false;
        if (key.isString()) return key.asString() == other.asString();
        return key.isInt() && key.asInt() == other.asInt();
    };
    for (Entry& entry : node()->entries) {
        if (same(entry.first)) {
            entry.second = std::move(value);
            return;
        }
    }
    node()->entries.emplace_back(key, std::move(value));
}

void PickleValue::append(PickleValue value) {
    if (kind() != Kind::List) failKind("list");
    node()->items.push_back(std::move(value));
}

void PickleValue::setState(PickleValue state) {
    if (!node()) failKind("container");
    node()->state = std::move(state);
}

const std::shared_ptr<PickleNode>& PickleValue::node() const {
    if (const auto* contents = std::get_if<std::shared_ptr<PickleNode>>(&data_)) return *contents;
    return kNoNode;
}

namespace {

/// Writes until `limit` characters are there; nested containers beyond the second level only as a count.
class Formatter {
  public:
    explicit Formatter(std::size_t limit) : limit_(limit) {}

    void add(const PickleValue& value, int depth) {
        switch (value.kind()) {
            case PickleValue::Kind::None:
                text += "None";
                break;
            case PickleValue::Kind::Bool:
                text += value.asBool() ? "True" : "False";
                break;
            case PickleValue::Kind::Int:
                text += fmt::format("{}", value.asInt());
                break;
            case PickleValue::Kind::BigInt:
                text += value.asDecimal().substr(0, 40);
                break;
            case PickleValue::Kind::Float:
                text += fmt::format("{}", value.asDouble());
                break;
            case PickleValue::Kind::String:
                addText(value.asString());
                break;
            case PickleValue::Kind::Bytes:
                text += fmt::format("{} bytes", value.asBytes().size());
                break;
            case PickleValue::Kind::Tensor:
                text += value.asTensor().describe();
                break;
            case PickleValue::Kind::List:
                addItems(value, '[', ']', depth);
                break;
            case PickleValue::Kind::Tuple:
                addItems(value, '(', ')', depth);
                break;
            case PickleValue::Kind::Dict:
                addEntries(value, depth);
                break;
            case PickleValue::Kind::Opaque:
                text += printableText(value.typeName());
                if (value.node()->isCall) addItems(value, '(', ')', depth);
                break;
        }
    }

    std::string text;

  private:
    bool full() {
        if (text.size() < limit_) return false;
        text += "...";
        return true;
    }

    void addText(const std::string& value) {
        const std::size_t room = limit_ > text.size() ? limit_ - text.size() : 0;
        std::size_t length = std::min(value.size(), room);
        while (length > 0 && length < value.size() && (value[length] & 0xc0) == 0x80) --length;
        text += '"';
        for (const char c : std::string_view(value).substr(0, length))
            text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
        text += length < value.size() ? "...\"" : "\"";
    }

    void addItems(const PickleValue& value, char open, char close, int depth) {
        if (depth >= 2 && value.items().size() > 4) {
            text += fmt::format("{}{} items{}", open, value.items().size(), close);
            return;
        }
        text += open;
        bool first = true;
        for (const PickleValue& item : value.items()) {
            if (!std::exchange(first, false)) text += ", ";
            if (full() || depth > 6) break;
            add(item, depth + 1);
        }
        text += close;
    }

    void addEntries(const PickleValue& value, int depth) {
        if (depth >= 1 && value.entries().size() > 4) {
            text += fmt::format("{{{} entries}}", value.entries().size());
            return;
        }
        text += '{';
        bool first = true;
        for (const auto& [key, entry] : value.entries()) {
            if (!std::exchange(first, false)) text += ", ";
            if (full() || depth > 6) break;
            add(key, depth + 1);
            text += ": ";
            add(entry, depth + 1);
        }
        text += '}';
    }

    std::size_t limit_;
};

}  // namespace

std::string formatPickleValue(const PickleValue& value, std::size_t limit) {
    Formatter formatter(limit);
    formatter.add(value, 0);
    return std::move(formatter.text);
}

}  // namespace medseg
