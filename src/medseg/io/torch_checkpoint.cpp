#include "medseg/io/torch_checkpoint.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/pickle_reader.h"
#include "medseg/io/pickle_text.h"
#include "medseg/io/torch_legacy.h"
#include "medseg/io/zip.h"

namespace medseg {

namespace {

constexpr std::uint64_t kLargestPickle = std::uint64_t{1} << 30;

struct OwnedBytes {
    std::vector<std::uint8_t> bytes;
};

/// Storages as entries "<archive>/data/<key>".
class ZipStorages : public PickleStorageSource {
  public:
    ZipStorages(std::shared_ptr<ZipReader> zip, std::string folder, bool swapBytes)
        : zip_(std::move(zip)), folder_(std::move(folder)), swapBytes_(swapBytes) {}

    std::shared_ptr<const TensorStorage> open(const Request& request) override {
        const auto known = opened_.find(request.key);
        if (known != opened_.end()) {
            requireSize(request, known->second->bytes.size());
            return known->second;
        }
        const ZipEntry* entry = zip_->find(folder_ + request.key);
        if (entry == nullptr)
            throw DataError(file(), fmt::format("storage {} is missing", printableText(folder_ + request.key)));
        requireSize(request, entry->size);
        auto storage = std::make_shared<const TensorStorage>(load(*entry, request));
        opened_.emplace(request.key, storage);
        return storage;
    }

  private:
    std::string file() const { return zip_->path().string(); }

    void requireSize(const Request& request, std::uint64_t available) const {
        const std::uint64_t size = tensorDtypeSize(request.dtype);
        if (static_cast<std::uint64_t>(request.elementCount) > available / size)
            throw DataError(file(),
                            fmt::format("storage {} should have {} elements of {} bytes, {} bytes are there",
                                        printableText(folder_ + request.key), request.elementCount, size, available));
    }

    TensorStorage load(const ZipEntry& entry, const Request& request) {
        if (!entry.deflated && !swapBytes_) return {zip_->storedBytes(entry), zip_, request.location};
        inflated_ += entry.size;
        if (inflated_ > std::max<std::uint64_t>(std::uint64_t{256} << 20, 64 * fileSize()))
            throw DataError(file(), "unpacks to more than 64 times its size: not plausible for weights");
        auto owned = std::make_shared<OwnedBytes>(OwnedBytes{zip_->read(entry)});
        if (swapBytes_) reverseByteOrder(owned->bytes, request.dtype);
        const std::span<const std::uint8_t> view(owned->bytes);
        return {view, std::move(owned), request.location};
    }

    std::uint64_t fileSize() const {
        std::uint64_t sum = 0;
        for (const ZipEntry& entry : zip_->entries()) sum += entry.compressedSize;
        return sum;
    }

    std::shared_ptr<ZipReader> zip_;
    std::string folder_;
    bool swapBytes_;
    std::uint64_t inflated_ = 0;
    std::map<std::string, std::shared_ptr<const TensorStorage>> opened_;
};

std::string textOf(const ZipReader& zip, const std::string& name) {
    const ZipEntry* entry = zip.find(name);
    if (entry == nullptr) return {};
    const auto bytes = zip.readStart(*entry, 64);
    std::string text(bytes.begin(), bytes.end());
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
    return text;
}

std::string producerOf(const ZipReader& zip, const std::string& folder) {
    std::string named = textOf(zip, folder + ".data/producer");
    if (!named.empty()) return printableText(sanitisedUtf8(std::move(named)));
    const bool isRecent = zip.find(folder + "byteorder") != nullptr;
    return isRecent ? "PyTorch 2.1 or later" : "PyTorch 1.6 to 2.0";
}

const ZipEntry& findPickle(const ZipReader& zip) {
    for (const ZipEntry& entry : zip.entries()) {
        const std::size_t slash = entry.name.find('/');
        const std::string_view rest =
            slash == std::string::npos ? std::string_view(entry.name) : std::string_view(entry.name).substr(slash + 1);
        if (rest == "data.pkl") return entry;
    }
    throw DataError(zip.path().string(), "is a zip archive without data.pkl, no PyTorch checkpoint");
}

TorchFile readZip(const fs::path& path) {
    const auto zip = std::make_shared<ZipReader>(path);
    const ZipEntry& pickle = findPickle(*zip);
    const std::string folder = pickle.name.substr(0, pickle.name.size() - std::string_view("data.pkl").size());

    TorchFile file;
    file.archiveName = sanitisedUtf8(folder.empty() ? folder : folder.substr(0, folder.size() - 1));
    file.format = zip->find(folder + "constants.pkl") != nullptr ? TorchFormat::TorchScript : TorchFormat::Zip;
    file.version = textOf(*zip, folder + "version");
    if (file.version.empty()) file.version = textOf(*zip, folder + ".data/version");
    file.version = printableText(sanitisedUtf8(std::move(file.version)));
    file.producer = producerOf(*zip, folder);
    const std::string order = textOf(*zip, folder + "byteorder");
    if (!order.empty() && order != "little" && order != "big")
        throw DataError(path.string(), fmt::format("unknown byte order \"{}\"", printableText(order)));
    if (!order.empty()) file.byteOrder = order;

    if (pickle.size > kLargestPickle)
        throw DataError(path.string(), fmt::format("data.pkl of {} bytes is too large", pickle.size));
    ZipStorages storages(zip, folder + "data/", (file.byteOrder == "big") != (nativeByteOrder() == ByteOrder::Big));
    if (pickle.deflated) {
        file.root = readPickle(zip->read(pickle), path.string(), &storages).value;
    } else {
        file.root = readPickle(zip->storedBytes(pickle), path.string(), &storages).value;
    }
    return file;
}

}  // namespace

const char* torchFormatName(TorchFormat format) {
    switch (format) {
        case TorchFormat::Zip:
            return "PyTorch zip archive";
        case TorchFormat::TorchScript:
            return "TorchScript archive";
        case TorchFormat::Legacy:
            return "PyTorch file of before 1.6";
        case TorchFormat::PlainPickle:
            return "Python pickle";
    }
    return "PyTorch file";
}

bool looksLikeTorchFile(std::span<const std::uint8_t> start) {
    return ZipReader::looksLikeZip(start) || (start.size() > 2 && start[0] == 0x80 && start[1] >= 1 && start[1] <= 5);
}

TorchFile readTorchFile(const fs::path& path) {
    auto mapped = std::make_shared<MappedFile>(path);
    const auto bytes = mapped->bytes();
    if (bytes.empty()) throw DataError(path.string(), "is empty");
    if (ZipReader::looksLikeZip(bytes)) {
        mapped.reset();
        return readZip(path);
    }
    if (bytes.size() > 262 && std::string_view(reinterpret_cast<const char*>(bytes.data()) + 257, 5) == "ustar")
        throw DataError(path.string(),
                        "is a tar archive as PyTorch wrote before 2017: load and save it with PyTorch first");
    if (!looksLikeTorchFile(bytes)) throw DataError(path.string(), "is no PyTorch checkpoint");
    return readLegacyTorchFile(std::move(mapped));
}

std::vector<std::string> findChecksumMismatches(const fs::path& path) {
    {
        const MappedFile file(path);
        if (!ZipReader::looksLikeZip(file.bytes())) return {};
    }
    const ZipReader zip(path);
    std::vector<std::string> damaged;
    for (const ZipEntry& entry : zip.entries()) {
        if (entry.deflated) {
            try {
                zip.read(entry);
            } catch (const DataError&) {
                damaged.push_back(entry.name);
            }
        } else if (crc32Of(zip.storedBytes(entry)) != entry.crc) {
            damaged.push_back(entry.name);
        }
    }
    return damaged;
}

}  // namespace medseg
