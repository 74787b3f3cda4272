// The values a Python pickle can hold, as plain data: what checkpoints consist of besides tensors. Also what is handed
// to the writer of checkpoints.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "medseg/io/tensor_record.h"

namespace medseg {

struct PickleNode;

/// One Python value. Scalars and strings behave like values; lists, tuples, dicts and opaque objects share their
/// contents between copies, as Python's references do.
class PickleValue {
  public:
    enum class Kind {
        None,
        Bool,
        Int,
        BigInt,  ///< an int outside 64 bits, kept as decimal text
        Float,
        String,  ///< UTF-8
        Bytes,
        List,   ///< also set and frozenset, see typeName()
        Tuple,  ///< also torch.Size
        Dict,   ///< any mapping in insertion order; typeName() tells OrderedDict, defaultdict, Namespace ...
        Tensor,
        Opaque,  ///< an object of a type that is not known: its name, arguments, state; nothing was called
    };
    using Entry = std::pair<PickleValue, PickleValue>;

    PickleValue() = default;
    PickleValue(bool value) : data_(value) {}
    template <std::integral Integer>
    requires(!std::same_as<Integer, bool>) PickleValue(Integer value) : data_(static_cast<std::int64_t>(value)) {}
    PickleValue(double value) : data_(value) {}
    PickleValue(const char* text) : PickleValue(std::string(text)) {}
    PickleValue(std::string text);
    PickleValue(TensorRecord tensor);
    static PickleValue bytes(std::string bytes);
    static PickleValue bigInt(std::string decimal);
    static PickleValue list(std::vector<PickleValue> items = {}, std::string typeName = "list");
    static PickleValue tuple(std::vector<PickleValue> items);
    /// A plain dict.
    static PickleValue dict();
    /// collections.OrderedDict: what torch writes for a state dict.
    static PickleValue orderedDict();
    /// An OrderedDict of tensors.
    static PickleValue stateDict(const NamedTensors& tensors);
    static PickleValue mapping(std::string typeName);
    /// An object of type `typeName` ("module.Name") that is not understood, with what it would be called with.
    static PickleValue opaque(std::string typeName, std::vector<PickleValue> arguments = {});

    Kind kind() const;
    bool isNone() const { return kind() == Kind::None; }
    bool isInt() const { return kind() == Kind::Int; }
    bool isString() const { return kind() == Kind::String; }
    bool isDict() const { return kind() == Kind::Dict; }
    bool isTensor() const { return kind() == Kind::Tensor; }
    bool isOpaque() const { return kind() == Kind::Opaque; }
    /// List or tuple.
    bool isSequence() const { return kind() == Kind::List || kind() == Kind::Tuple; }

    /// The accessors throw DataError ("int expected, dict found") when the value has another kind.
    bool asBool() const;
    std::int64_t asInt() const;
    /// Of an int or a float.
    double asDouble() const;
    const std::string& asString() const;
    const std::string& asBytes() const;
    /// Of an int of any size.
    std::string asDecimal() const;
    const TensorRecord& asTensor() const;
    /// Elements of a list or tuple; the arguments of an opaque object.
    std::span<const PickleValue> items() const;
    /// Entries of a dict (or of an opaque object that was filled like a dict).
    std::span<const Entry> entries() const;
    /// "dict", "collections.OrderedDict", "torch.Size", "numpy.ndarray", "mypackage.Thing" ...; "int" and so on for
    /// scalars.
    std::string typeName() const;
    /// What Python would put into the object's __dict__ (or pass to __setstate__); None when there is nothing.
    const PickleValue& state() const;

    /// Value of a string key of a dict; nullptr when it is missing or this is no dict.
    const PickleValue* find(std::string_view key) const;
    /// Like find, but throws DataError naming the key when it is missing.
    const PickleValue& at(std::string_view key) const;

    /// Adds or replaces an entry of a dict, appends to a list.
    void set(const PickleValue& key, PickleValue value);
    void append(PickleValue value);
    void setState(PickleValue state);

    /// The shared contents of a container or opaque object, else nullptr: for code that walks whole trees.
    const std::shared_ptr<PickleNode>& node() const;

  private:
    friend struct PickleNode;
    explicit PickleValue(std::shared_ptr<PickleNode> node) : data_(std::move(node)) {}
    [[noreturn]] void failKind(const char* expected) const;

    using Text = std::shared_ptr<const std::string>;
    struct Bytes {
        Text text;
    };
    struct Digits {
        Text text;
    };
    std::variant<std::monostate, bool, std::int64_t, double, Text, Bytes, Digits, std::shared_ptr<const TensorRecord>,
                 std::shared_ptr<PickleNode>>
        data_;
};

/// Contents of a list, tuple, dict or opaque object.
struct PickleNode {
    PickleValue::Kind kind = PickleValue::Kind::List;
    std::string typeName;
    std::vector<PickleValue> items;           ///< list and tuple elements, arguments of an opaque object
    std::vector<PickleValue::Entry> entries;  ///< dict entries
    PickleValue state;
    bool isCall = false;  ///< opaque: the type was called with `items`; else it is a mere reference to the type

    static PickleValue wrap(std::shared_ptr<PickleNode> node) { return PickleValue(std::move(node)); }
};

/// Short text for people: `{"epoch": 3, "model": {314 entries}}`; at most about `limit` characters.
std::string formatPickleValue(const PickleValue& value, std::size_t limit = 120);

}  // namespace medseg
