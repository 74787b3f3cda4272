// Writes PyTorch's zip format: data.pkl (pickle protocol 2) and one stored, aligned entry for each storage.
#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/version.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/pickle_text.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/io/zip.h"

namespace medseg {

namespace {

constexpr std::uint32_t kAlignment = 64;  // torch maps storages and wants this
constexpr std::size_t kDeepest = 400;

/// Name of the storage class in the module torch; nullptr for types that torch stores untyped.
const char* storageClass(TensorDtype dtype) {
    switch (dtype) {
        case TensorDtype::Bool:
            return "BoolStorage";
        case TensorDtype::U8:
            return "ByteStorage";
        case TensorDtype::I8:
            return "CharStorage";
        case TensorDtype::I16:
            return "ShortStorage";
        case TensorDtype::I32:
            return "IntStorage";
        case TensorDtype::I64:
            return "LongStorage";
        case TensorDtype::F16:
            return "HalfStorage";
        case TensorDtype::BF16:
            return "BFloat16Storage";
        case TensorDtype::F32:
            return "FloatStorage";
        case TensorDtype::F64:
            return "DoubleStorage";
        case TensorDtype::C64:
            return "ComplexFloatStorage";
        case TensorDtype::C128:
            return "ComplexDoubleStorage";
        default:
            return nullptr;
    }
}

/// Makes data.pkl and collects the storages it refers to.
class TorchPickler {
  public:
    TorchPickler(const std::string& file, const TorchWriteOptions& options) : file_(file), options_(options) {
        text_ = "\x80\x02";
    }

    /// One storage: elements of type `from` that are to be stored as `to`.
    struct Stored {
        std::span<const std::uint8_t> bytes;
        TensorDtype from;
        TensorDtype to;

        std::size_t count() const { return bytes.size() / tensorDtypeSize(from); }
    };

    std::string run(const PickleValue& root) {
        write(root, 0);
        text_ += '.';
        return std::move(text_);
    }

    /// In the order of their keys "0", "1" ...
    const std::vector<Stored>& storages() const { return storages_; }

  private:
    template <typename Number>
    void number(Number value, ByteOrder order = ByteOrder::Little) {
        std::uint8_t bytes[sizeof(Number)];
        storeNumber(bytes, value, order);
        text_.append(reinterpret_cast<const char*>(bytes), sizeof bytes);
    }

    void string(std::string_view value) {
        if (value.size() > std::numeric_limits<std::uint32_t>::max())
            throw DataError(file_, "string of more than 4 GiB");
        text_ += 'X';
        number(static_cast<std::uint32_t>(value.size()));
        text_ += value;
    }

    void integer(std::int64_t value) {
        if (value >= 0 && value < 256) {
            text_ += 'K';
            text_ += static_cast<char>(value);
        } else if (value >= 0 && value < 65536) {
            text_ += 'M';
            number(static_cast<std::uint16_t>(value));
        } else if (value == static_cast<std::int32_t>(value)) {
            text_ += 'J';
            number(static_cast<std::int32_t>(value));
        } else {
            longInteger(value);
        }
    }

    void longInteger(const PickleValue& value) {
        const std::string bytes = integerToBytes(value);
        if (bytes.size() > 255) throw DataError(file_, "integer of more than 255 bytes cannot be written");
        text_ += '\x8a';
        text_ += static_cast<char>(bytes.size());
        text_ += bytes;
    }

    void integers(std::span<const std::int64_t> values) {
        if (values.size() > 3) text_ += '(';
        for (const std::int64_t value : values) integer(value);
        closeTuple(values.size());
    }

    void closeTuple(std::size_t count) {
        static constexpr char kOpcodes[] = {')', '\x85', '\x86', '\x87'};
        text_ += count <= 3 ? kOpcodes[count] : 't';
    }

    /// Puts the value on top of the stack into the memo.
    std::uint32_t memorize() {
        const std::uint32_t index = memoSize_++;
        if (index < 256) {
            text_ += 'q';
            text_ += static_cast<char>(index);
        } else {
            text_ += 'r';
            number(index);
        }
        return index;
    }

    void recall(std::uint32_t index) {
        if (index < 256) {
            text_ += 'h';
            text_ += static_cast<char>(index);
        } else {
            text_ += 'j';
            number(index);
        }
    }

    void global(const std::string& module, const std::string& name) {
        const std::string both = module + "\n" + name + "\n";
        if (const auto known = globals_.find(both); known != globals_.end()) return recall(known->second);
        text_ += 'c';
        text_ += both;
        globals_.emplace(both, memorize());
    }

    void emptyOrderedDict() {
        global("collections", "OrderedDict");
        text_ += ")R";
    }

    /// ("storage", type, key, "cpu", count) as a persistent id.
    void storage(const TensorRecord& tensor) {
        const auto bytes = tensor.storage->bytes;
        const auto identity = std::make_tuple(bytes.data(), bytes.size(), tensor.dtype);
        if (const auto known = storageMemo_.find(identity); known != storageMemo_.end()) return recall(known->second);
        const TensorDtype dtype = storedDtype(tensor.dtype);
        const std::size_t size = tensorDtypeSize(tensor.dtype);
        const Stored stored{bytes.first(bytes.size() / size * size), tensor.dtype, dtype};
        const char* typeName = storageClass(dtype);
        text_ += '(';
        string("storage");
        if (typeName != nullptr) {
            global("torch", typeName);
        } else {
            global("torch.storage", "UntypedStorage");
        }
        string(fmt::format("{}", storages_.size()));
        string("cpu");
        integer(static_cast<std::int64_t>(typeName != nullptr ? stored.count() : stored.bytes.size()));
        text_ += "tQ";
        storages_.push_back(stored);
        storageMemo_.emplace(identity, memorize());
    }

    TensorDtype storedDtype(TensorDtype dtype) const {
        return options_.floatingDtype && isFloating(dtype) ? *options_.floatingDtype : dtype;
    }

    void tensor(const TensorRecord& record) {
        record.validate(file_);
        if (record.isParameter) {
            global("torch._utils", "_rebuild_parameter");
            text_ += '(';
            plainTensor(record);
            text_ += '\x88';
            emptyOrderedDict();
            text_ += "tR";
        } else {
            plainTensor(record);
        }
    }

    void plainTensor(const TensorRecord& record) {
        const bool isTyped = storageClass(storedDtype(record.dtype)) != nullptr;
        global("torch._utils", isTyped ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
        text_ += '(';
        storage(record);
        integer(record.offset);
        integers(record.shape);
        integers(record.strides);
        text_ += '\x89';
        emptyOrderedDict();
        if (!isTyped) global("torch", tensorDtypeName(record.dtype));
        text_ += "tR";
    }

    void write(const PickleValue& value, std::size_t depth) {
        if (depth > kDeepest) throw DataError(file_, fmt::format("values nested more than {} levels deep", kDeepest));
        switch (value.kind()) {
            case PickleValue::Kind::None:
                text_ += 'N';
                break;
            case PickleValue::Kind::Bool:
                text_ += value.asBool() ? '\x88' : '\x89';
                break;
            case PickleValue::Kind::Int:
                integer(value.asInt());
                break;
            case PickleValue::Kind::BigInt:
                longInteger(value);
                break;
            case PickleValue::Kind::Float:
                text_ += 'G';
                number(value.asDouble(), ByteOrder::Big);
                break;
            case PickleValue::Kind::String:
                string(value.asString());
                break;
            case PickleValue::Kind::Bytes:
                bytes(value.asBytes());
                break;
            case PickleValue::Kind::Tensor:
                tensor(value.asTensor());
                break;
            default:
                container(value, depth);
                break;
        }
    }

    void bytes(const std::string& value) {
        global("_codecs", "encode");
        string(decodeLatin1(value));
        string("latin1");
        text_ += "\x86R";
    }

    void container(const PickleValue& value, std::size_t depth) {
        const PickleNode* node = value.node().get();
        if (const auto known = nodes_.find(node); known != nodes_.end()) return recall(known->second);
        const auto remember = [&] {
            if (value.node().use_count() > 1) nodes_.emplace(node, memorize());
        };
        if (value.kind() == PickleValue::Kind::List) {
            text_ += ']';
            remember();
            items(value, depth, 'e');
        } else if (value.kind() == PickleValue::Kind::Tuple) {
            const std::size_t count = value.items().size();
            if (count > 3) text_ += '(';
            for (const PickleValue& item : value.items()) write(item, depth + 1);
            closeTuple(count);
            remember();
        } else if (value.isDict()) {
            dict(value, depth, remember);
        } else {
            object(value, depth);
        }
    }

    void items(const PickleValue& value, std::size_t depth, char opcode) {
        if (value.items().empty()) return;
        text_ += '(';
        for (const PickleValue& item : value.items()) write(item, depth + 1);
        text_ += opcode;
    }

    template <typename Remember>
    void dict(const PickleValue& value, std::size_t depth, Remember&& remember) {
        const bool isOrdered = value.typeName() == "collections.OrderedDict";
        if (isOrdered) {
            emptyOrderedDict();
        } else {
            text_ += '}';
        }
        remember();
        if (!value.entries().empty()) {
            text_ += '(';
            for (const auto& [key, entry] : value.entries()) {
                write(key, depth + 1);
                write(entry, depth + 1);
            }
            text_ += 'u';
        }
        // Attributes: torch keeps the versions of modules as _metadata on a state dict.
        if (isOrdered && value.state().isDict()) {
            write(value.state(), depth + 1);
            text_ += 'b';
        }
    }

    void object(const PickleValue& value, std::size_t depth) {
        if (value.typeName() != "torch.device" || !value.node()->isCall)
            throw DataError(file_,
                            fmt::format("an object of type {} cannot be written to a checkpoint", value.typeName()));
        global("torch", "device");
        text_ += '(';
        for (const PickleValue& item : value.items()) write(item, depth + 1);
        text_ += "tR";
    }

    const std::string& file_;
    const TorchWriteOptions& options_;
    std::string text_;
    std::uint32_t memoSize_ = 0;
    std::map<std::string, std::uint32_t> globals_;
    std::unordered_map<const PickleNode*, std::uint32_t> nodes_;
    std::map<std::tuple<const std::uint8_t*, std::size_t, TensorDtype>, std::uint32_t> storageMemo_;
    std::vector<Stored> storages_;
};

ByteSpan bytesOf(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Piece by piece, so that a change of type needs little memory.
void writeStorage(ZipWriter& zip, const std::string& name, const TorchPickler::Stored& stored) {
    constexpr std::size_t kPiece = std::size_t{1} << 22;  // elements
    zip.begin(name, stored.count() * tensorDtypeSize(stored.to), kAlignment);
    const std::size_t size = tensorDtypeSize(stored.from);
    for (std::size_t start = 0; start < stored.count(); start += kPiece) {
        const std::size_t count = std::min(kPiece, stored.count() - start);
        const TensorRecord piece = TensorRecord::over(stored.from, {static_cast<std::int64_t>(count)},
                                                      stored.bytes.subspan(start * size, count * size), nullptr);
        zip.append(piece.converted(stored.to).packedBytes());
    }
    zip.end();
}

}  // namespace

void writeTorchFile(const fs::path& path, const PickleValue& root, const TorchWriteOptions& options) {
    const std::string file = path.string();
    TorchPickler pickler(file, options);
    const std::string pickle = pickler.run(root);
    const std::string stem = path.stem().string();
    const std::string folder = (stem.empty() ? "archive" : stem) + "/";
    ZipWriter zip(path);
    zip.add(folder + "data.pkl", bytesOf(pickle), {0, kAlignment});
    zip.add(folder + "byteorder", bytesOf(nativeByteOrder() == ByteOrder::Little ? "little" : "big"), {0, kAlignment});
    for (std::size_t key = 0; key < pickler.storages().size(); ++key)
        writeStorage(zip, fmt::format("{}data/{}", folder, key), pickler.storages()[key]);
    zip.add(folder + "version", bytesOf("3\n"), {0, kAlignment});
    zip.add(folder + ".data/producer", bytesOf(fmt::format("medseg {}", version())), {0, kAlignment});
    zip.commit();
}

}  // namespace medseg
