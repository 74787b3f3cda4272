#include "medseg/io/torch_legacy.h"

#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/pickle_reader.h"
#include "medseg/io/pickle_text.h"

namespace medseg {

namespace {

constexpr const char* kMagicNumber = "119547037146038801333356";  // 0x1950a86a20f9469cfc6c
constexpr std::int64_t kProtocolVersion = 1001;

/// First pass over the object: only notes the element type of each storage, whose place follows from the sizes of
/// all storages before it.
class StorageTypes : public PickleStorageSource {
  public:
    std::shared_ptr<const TensorStorage> open(const Request& request) override {
        types.emplace(request.key, request);
        return nullptr;
    }
    std::map<std::string, Request> types;
};

/// Second pass: hands out the storages.
class LegacyStorages : public PickleStorageSource {
  public:
    explicit LegacyStorages(std::string file) : file_(std::move(file)) {}

    void add(const std::string& key, TensorStorage storage) {
        storages_[key] = std::make_shared<const TensorStorage>(std::move(storage));
    }

    std::shared_ptr<const TensorStorage> open(const Request& request) override {
        const auto found = storages_.find(request.key);
        if (found == storages_.end())
            throw DataError(file_, fmt::format("storage {} is missing", printableText(request.key)));
        const auto& whole = found->second;
        const std::uint64_t size = tensorDtypeSize(request.dtype);
        const auto available = static_cast<std::int64_t>(whole->bytes.size() / size);
        if (request.elementCount > available)
            throw DataError(file_, fmt::format("storage {} should have {} elements, {} are there",
                                               printableText(request.key), request.elementCount, available));
        if (request.viewKey.empty()) return whole;
        if (request.viewOffset < 0 || request.viewCount < 0 || request.viewOffset > available ||
            request.viewCount > available - request.viewOffset)
            throw DataError(file_, fmt::format("view {} lies outside storage {}", printableText(request.viewKey),
                                               printableText(request.key)));
        auto& view = views_[request.viewKey];
        if (!view) {
            const auto bytes = whole->bytes.subspan(static_cast<std::size_t>(request.viewOffset) * size,
                                                    static_cast<std::size_t>(request.viewCount) * size);
            view = std::make_shared<const TensorStorage>(TensorStorage{bytes, whole->owner, whole->location});
        }
        return view;
    }

  private:
    std::string file_;
    std::map<std::string, std::shared_ptr<const TensorStorage>> storages_;
    std::map<std::string, std::shared_ptr<const TensorStorage>> views_;
};

class LegacyReader {
  public:
    explicit LegacyReader(std::shared_ptr<const MappedFile> file)
        : file_(std::move(file)), name_(file_->path().string()), rest_(file_->bytes()) {}

    TorchFile run() {
        TorchFile result;
        result.format = TorchFormat::Legacy;
        const PickleValue magic = next();
        if (magic.kind() != PickleValue::Kind::BigInt || magic.asDecimal() != kMagicNumber) {
            result.format = TorchFormat::PlainPickle;
            result.root = magic;
            return result;
        }
        const PickleValue version = next();
        if (!version.isInt() || version.asInt() != kProtocolVersion)
            throw DataError(name_, fmt::format("unknown PyTorch protocol {}", formatPickleValue(version)));
        result.version = fmt::format("{}", kProtocolVersion);
        const PickleValue system = next();
        const PickleValue* little = system.find("little_endian");
        if (little != nullptr && little->kind() == PickleValue::Kind::Bool && !little->asBool())
            result.byteOrder = "big";

        const auto object = rest_;
        StorageTypes types;
        rest_ = rest_.subspan(readPickle(rest_, name_, &types).end);
        LegacyStorages storages = locate(next(), types, result.byteOrder == "big" ? ByteOrder::Big : ByteOrder::Little);
        result.root = readPickle(object, name_, &storages).value;
        return result;
    }

  private:
    PickleValue next() {
        PickleReading reading = readPickle(rest_, name_);
        rest_ = rest_.subspan(reading.end);
        return std::move(reading.value);
    }

    LegacyStorages locate(const PickleValue& keys, const StorageTypes& types, ByteOrder order) {
        if (!keys.isSequence()) throw DataError(name_, "list of storages is damaged");
        LegacyStorages storages(name_);
        for (const PickleValue& key : keys.items()) {
            if (!key.isInt() && !key.isString()) throw DataError(name_, "list of storages is damaged");
            const std::string text = key.isInt() ? key.asDecimal() : key.asString();
            const auto type = types.types.find(text);
            if (type == types.types.end())
                throw DataError(name_, fmt::format("storage {} belongs to no tensor", printableText(text)));
            storages.add(text, take(type->second, order));
        }
        return storages;
    }

    TensorStorage take(const PickleStorageSource::Request& request, ByteOrder order) {
        const std::uint64_t size = tensorDtypeSize(request.dtype);
        const auto failure = [&](const char* what) {
            return DataError(
                name_, fmt::format("storage {} {}: the file is damaged or cut off", printableText(request.key), what));
        };
        if (rest_.size() < 8) throw failure("is missing");
        const auto count = loadNumber<std::int64_t>(rest_.data(), order);
        rest_ = rest_.subspan(8);
        if (count != request.elementCount) throw failure("has an unexpected size");
        if (static_cast<std::uint64_t>(count) > rest_.size() / size) throw failure("ends too early");
        const auto bytes = rest_.first(static_cast<std::size_t>(count) * size);
        rest_ = rest_.subspan(bytes.size());
        if (order == nativeByteOrder()) return {bytes, file_, request.location};
        auto owned = std::make_shared<std::vector<std::uint8_t>>(bytes.begin(), bytes.end());
        reverseByteOrder(*owned, request.dtype);
        const std::span<const std::uint8_t> view(*owned);
        return {view, std::move(owned), request.location};
    }

    std::shared_ptr<const MappedFile> file_;
    std::string name_;
    std::span<const std::uint8_t> rest_;
};

}  // namespace

TorchFile readLegacyTorchFile(std::shared_ptr<const MappedFile> file) {
    return LegacyReader(std::move(file)).run();
}

}  // namespace medseg
