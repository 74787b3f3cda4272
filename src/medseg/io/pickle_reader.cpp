#include "medseg/io/pickle_reader.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/pickle_graph.h"
#include "medseg/io/pickle_objects.h"
#include "medseg/io/pickle_text.h"

namespace medseg {

namespace {

using Values = std::vector<PickleValue>;

/// The stack machine. One instance reads one pickle.
class PickleMachine {
  public:
    PickleMachine(std::span<const std::uint8_t> bytes, const std::string& source, PickleStorageSource* storages,
                  const PickleLimits& limits)
        : bytes_(bytes), source_(source), storages_(storages), limits_(limits) {}

    PickleReading run() {
        while (true) {
            opcodeAt_ = position_;
            const auto opcode = static_cast<char>(readByte());
            if (opcode == '.') break;
            if (!runConstant(opcode) && !runContainer(opcode) && !runMemo(opcode) && !runObject(opcode))
                fail(fmt::format("unknown opcode {:#04x}", static_cast<unsigned char>(opcode)));
        }
        PickleValue value = pop();
        memo_.clear();
        stack_.clear();
        return {nodes_.settle(std::move(value), source_, limits_.depth), position_};
    }

  private:
    [[noreturn]] void fail(const std::string& problem) const {
        throw DataError(source_, fmt::format("damaged pickle at byte {}: {}", opcodeAt_, problem));
    }

    // Input.

    const std::uint8_t* take(std::uint64_t count) {
        if (count > bytes_.size() - position_) fail("ends too early");
        const std::uint8_t* start = bytes_.data() + position_;
        position_ += static_cast<std::size_t>(count);
        return start;
    }
    std::uint8_t readByte() { return *take(1); }
    template <typename Number>
    Number readNumber(ByteOrder order = ByteOrder::Little) {
        return loadNumber<Number>(take(sizeof(Number)), order);
    }
    std::string readText(std::uint64_t length) {
        const std::uint8_t* start = take(length);
        return {reinterpret_cast<const char*>(start), static_cast<std::size_t>(length)};
    }
    /// Up to a line feed, which is not part of it.
    std::string readLine() {
        const auto rest = bytes_.subspan(position_);
        const auto end = std::find(rest.begin(), rest.end(), static_cast<std::uint8_t>('\n'));
        if (end == rest.end()) fail("ends within a line");
        std::string line = readText(static_cast<std::uint64_t>(end - rest.begin()));
        ++position_;
        return line;
    }

    // Stack.

    void push(PickleValue value) {
        if (++pushed_ > limits_.values) fail("more values than a checkpoint can need");
        stack_.push_back(std::move(value));
    }
    void pushNode(PickleValue value) {
        if (!nodes_.add(value, limits_.containers)) fail("more containers than a checkpoint can need");
        push(std::move(value));
    }
    std::size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }
    PickleValue pop() {
        if (stack_.size() <= bottom()) fail("takes a value from an empty stack");
        PickleValue value = std::move(stack_.back());
        stack_.pop_back();
        return value;
    }
    PickleValue& top() {
        if (stack_.size() <= bottom()) fail("takes a value from an empty stack");
        return stack_.back();
    }
    Values popToMark() {
        if (marks_.empty()) fail("no mark on the stack");
        const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        Values values(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
        stack_.erase(first, stack_.end());
        marks_.pop_back();
        return values;
    }
    Values popArguments() {
        const PickleValue arguments = pop();
        if (!arguments.isSequence()) fail("arguments are no tuple");
        const auto items = arguments.items();
        return {items.begin(), items.end()};
    }

    // Opcodes.

    bool runConstant(char opcode) {
        switch (opcode) {
            case 'N':
                push({});
                return true;
            case '\x88':
                push(true);
                return true;
            case '\x89':
                push(false);
                return true;
            case 'K':
                push(readByte());
                return true;
            case 'M':
                push(readNumber<std::uint16_t>());
                return true;
            case 'J':
                push(readNumber<std::int32_t>());
                return true;
            case '\x8a':
                pushLong(readByte());
                return true;
            case '\x8b':
                pushLong(readNumber<std::uint32_t>());
                return true;
            case 'G':
                push(readNumber<double>(ByteOrder::Big));
                return true;
            case 'I':
                pushParsed(parsePickleInt(readLine()));
                return true;
            case 'L':
                pushParsed(parsePickleInt(readLine()));
                return true;
            case 'F':
                pushParsed(parsePickleFloat(readLine()));
                return true;
            case 'S':
                pushParsed(parsePickleString(readLine()));
                return true;
            case 'V':
                pushParsed(parsePickleUnicode(readLine()));
                return true;
            case 'U':
                push(textOrBytes(readText(readByte())));
                return true;
            case 'T':
                push(textOrBytes(readText(readNumber<std::uint32_t>())));
                return true;
            case '\x8c':
                push(sanitisedUtf8(readText(readByte())));
                return true;
            case 'X':
                push(sanitisedUtf8(readText(readNumber<std::uint32_t>())));
                return true;
            case '\x8d':
                push(sanitisedUtf8(readText(readNumber<std::uint64_t>())));
                return true;
            case 'C':
                push(PickleValue::bytes(readText(readByte())));
                return true;
            case 'B':
                push(PickleValue::bytes(readText(readNumber<std::uint32_t>())));
                return true;
            case '\x8e':
            case '\x96':
                push(PickleValue::bytes(readText(readNumber<std::uint64_t>())));
                return true;
            case '\x80':
                if (readByte() > 5) fail("pickle protocol above 5");
                return true;
            case '\x95':
                readNumber<std::uint64_t>();
                return true;
            default:
                return false;
        }
    }

    void pushLong(std::uint32_t length) {
        if (length > 1024) fail("integer of more than 1024 bytes");
        const std::uint8_t* bytes = take(length);
        push(integerFromBytes({bytes, length}));
    }

    void pushParsed(std::optional<PickleValue> value) {
        if (!value) fail("not a number or string");
        push(std::move(*value));
    }

    bool runContainer(char opcode) {
        switch (opcode) {
            case '(':
                marks_.push_back(stack_.size());
                return true;
            case '0':
                if (stack_.size() > bottom()) {
                    stack_.pop_back();
                } else {
                    popToMark();
                }
                return true;
            case '1':
                popToMark();
                return true;
            case '2':
                push(PickleValue(top()));
                return true;
            case ']':
                pushNode(PickleValue::list());
                return true;
            case '}':
                pushNode(PickleValue::dict());
                return true;
            case ')':
                pushNode(PickleValue::tuple({}));
                return true;
            case '\x8f':
                pushNode(PickleValue::list({}, "set"));
                return true;
            case 'l':
                pushNode(PickleValue::list(popToMark()));
                return true;
            case 't':
                pushNode(PickleValue::tuple(popToMark()));
                return true;
            case '\x91':
                pushNode(PickleValue::list(popToMark(), "frozenset"));
                return true;
            case '\x85':
                pushTuple(1);
                return true;
            case '\x86':
                pushTuple(2);
                return true;
            case '\x87':
                pushTuple(3);
                return true;
            case 'd': {
                Values values = popToMark();
                PickleValue dict = PickleValue::dict();
                setItems(dict, values);
                pushNode(std::move(dict));
                return true;
            }
            case 'a': {
                Values values;
                values.push_back(pop());
                appendItems(values);
                return true;
            }
            case 'e':
            case '\x90': {
                Values values = popToMark();
                appendItems(values);
                return true;
            }
            case 's': {
                PickleValue value = pop();
                Values values;
                values.push_back(pop());
                values.push_back(std::move(value));
                setItems(top(), values);
                return true;
            }
            case 'u': {
                Values values = popToMark();
                setItems(top(), values);
                return true;
            }
            default:
                return false;
        }
    }

    void pushTuple(std::size_t count) {
        Values items(count);
        while (count-- > 0) items[count] = pop();
        pushNode(PickleValue::tuple(std::move(items)));
    }

    void appendItems(Values& values) {
        const auto& node = top().node();
        if (!node || node->kind == PickleValue::Kind::Tuple) fail("appends to something that is no list");
        // What is appended to an opaque object becomes entries under None, beside its arguments.
        for (PickleValue& value : values) {
            if (node->kind == PickleValue::Kind::List) {
                node->items.push_back(std::move(value));
            } else {
                node->entries.emplace_back(PickleValue(), std::move(value));
            }
        }
    }

    void setItems(const PickleValue& target, Values& values) {
        const auto& node = target.node();
        if (!node || (node->kind != PickleValue::Kind::Dict && node->kind != PickleValue::Kind::Opaque))
            fail("sets entries of something that is no dict");
        if (values.size() % 2 != 0) fail("key without value");
        for (std::size_t i = 0; i < values.size(); i += 2)
            node->entries.emplace_back(std::move(values[i]), std::move(values[i + 1]));
    }

    bool runMemo(char opcode) {
        switch (opcode) {
            case 'q':
                memo_[readByte()] = top();
                return true;
            case 'r':
                memo_[readNumber<std::uint32_t>()] = top();
                return true;
            case 'p':
                memo_[readMemoLine()] = top();
                return true;
            case '\x94':
                memo_[memo_.size()] = top();
                return true;
            case 'h':
                pushMemo(readByte());
                return true;
            case 'j':
                pushMemo(readNumber<std::uint32_t>());
                return true;
            case 'g':
                pushMemo(readMemoLine());
                return true;
            default:
                return false;
        }
    }

    std::uint64_t readMemoLine() {
        const auto value = parsePickleInt(readLine());
        if (!value || !value->isInt() || value->asInt() < 0) fail("memo number expected");
        return static_cast<std::uint64_t>(value->asInt());
    }

    void pushMemo(std::uint64_t index) {
        const auto found = memo_.find(index);
        if (found == memo_.end()) fail(fmt::format("memo entry {} does not exist", index));
        push(found->second);
    }

    bool runObject(char opcode) {
        switch (opcode) {
            case 'c': {
                const std::string module = readLine();
                pushGlobal(module, readLine());
                return true;
            }
            case '\x93': {
                const PickleValue name = pop();
                const PickleValue module = pop();
                if (!name.isString() || !module.isString()) fail("name of a type is no string");
                pushGlobal(module.asString(), name.asString());
                return true;
            }
            case 'R':
            case '\x81': {
                const Values arguments = popArguments();
                call(pop(), arguments);
                return true;
            }
            case '\x92': {
                const PickleValue keywords = pop();
                Values arguments = popArguments();
                if (!keywords.isDict()) fail("keyword arguments are no dict");
                if (!keywords.entries().empty()) arguments.push_back(keywords);
                call(pop(), arguments);
                return true;
            }
            case 'o': {
                Values values = popToMark();
                if (values.empty()) fail("object without a type");
                const PickleValue type = values.front();
                values.erase(values.begin());
                call(type, values);
                return true;
            }
            case 'i': {
                const std::string module = readLine();
                const std::string name = readLine();
                call(PickleValue::opaque(module + "." + name), popToMark());
                return true;
            }
            case 'b': {
                const PickleValue state = pop();
                resolveBuild(top(), state);
                return true;
            }
            case 'Q':
                pushPersistent(pop());
                return true;
            case 'P':
                pushPersistent(PickleValue(sanitisedUtf8(readLine())));
                return true;
            case '\x82':
            case '\x83':
            case '\x84':
                fail("uses the extension registry, which checkpoints do not have");
            case '\x97':
            case '\x98':
                fail("uses out-of-band buffers, which files do not have");
            default:
                return false;
        }
    }

    void pushGlobal(const std::string& module, const std::string& name) {
        pushNode(PickleValue::opaque(sanitisedUtf8(module + "." + name)));
    }

    void call(const PickleValue& callable, const Values& arguments) {
        PickleValue result = resolveCall(callable, arguments, source_);
        if (result.node()) {
            pushNode(std::move(result));
        } else {
            push(std::move(result));
        }
    }

    void pushPersistent(const PickleValue& id) {
        PickleValue storage = resolvePersistentId(id, storages_, source_);
        if (storage.node()) {
            pushNode(std::move(storage));
        } else {
            push(std::move(storage));
        }
    }

    std::span<const std::uint8_t> bytes_;
    const std::string& source_;
    PickleStorageSource* storages_;
    const PickleLimits& limits_;
    std::size_t position_ = 0;
    std::size_t opcodeAt_ = 0;
    std::size_t pushed_ = 0;
    PickleNodes nodes_;  // before the members that refer to nodes: it breaks their cycles when it is destroyed, last
    std::vector<PickleValue> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint64_t, PickleValue> memo_;
};

}  // namespace

PickleReading readPickle(std::span<const std::uint8_t> bytes, const std::string& source, PickleStorageSource* storages,
                         const PickleLimits& limits) {
    return PickleMachine(bytes, source, storages, limits).run();
}

}  // namespace medseg
