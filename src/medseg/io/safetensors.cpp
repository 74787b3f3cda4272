#include "medseg/io/safetensors.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/pickle_text.h"

namespace medseg {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kLargestHeader = 100'000'000;
constexpr const char* kMetadataKey = "__metadata__";

constexpr std::pair<const char*, TensorDtype> kTypeNames[] = {
    {"BOOL", TensorDtype::Bool},      {"U8", TensorDtype::U8},     {"I8", TensorDtype::I8},
    {"I16", TensorDtype::I16},        {"I32", TensorDtype::I32},   {"I64", TensorDtype::I64},
    {"U16", TensorDtype::U16},        {"U32", TensorDtype::U32},   {"U64", TensorDtype::U64},
    {"F16", TensorDtype::F16},        {"BF16", TensorDtype::BF16}, {"F32", TensorDtype::F32},
    {"F64", TensorDtype::F64},        {"C64", TensorDtype::C64},   {"F8_E4M3", TensorDtype::F8E4M3},
    {"F8_E5M2", TensorDtype::F8E5M2},
};

struct Piece {
    std::uint64_t begin;
    std::uint64_t end;
    std::string name;
};

/// Reads the header of one mapped file.
class HeaderReader {
  public:
    explicit HeaderReader(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}

    SafetensorsFile run() {
        const auto bytes = file_->bytes();
        if (bytes.empty()) fail("is empty");
        if (bytes.size() < 8) fail("is too short for safetensors");
        const auto length = loadNumber<std::uint64_t>(bytes.data());
        if (length > kLargestHeader) fail(fmt::format("header of {} bytes is too large", length));
        if (length > bytes.size() - 8) fail(fmt::format("header of {} bytes, but the file ends before", length));
        data_ = bytes.subspan(8 + static_cast<std::size_t>(length));
        readHeader(parse(bytes.subspan(8, static_cast<std::size_t>(length))));
        requireCovered();
        return std::move(result_);
    }

  private:
    [[noreturn]] void fail(const std::string& problem) const { throw DataError(file_->path().string(), problem); }
    [[noreturn]] void fail(const std::string& name, const std::string& problem) const {
        fail(fmt::format("tensor {}: {}", printableText(name), problem));
    }

    Json parse(std::span<const std::uint8_t> text) const {
        std::set<std::string> names;
        std::string repeated;
        const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
            if (event == Json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second)
                repeated = value.get<std::string>();
            return true;
        };
        Json header = Json::parse(text.begin(), text.end(), watch, false);
        if (header.is_discarded() || !header.is_object())
            fail("header is no JSON object: damaged or no safetensors file");
        if (!repeated.empty()) fail(repeated, "appears twice");
        return header;
    }

    void readHeader(const Json& header) {
        for (const auto& [name, entry] : header.items()) {
            if (name == kMetadataKey) {
                readMetadata(entry);
            } else {
                readTensor(name, entry);
            }
        }
    }

    void readMetadata(const Json& entry) {
        if (!entry.is_object()) fail("__metadata__ is no object");
        for (const auto& [key, value] : entry.items()) {
            if (!value.is_string()) fail("__metadata__ has a value that is no string");
            result_.metadata[key] = value.get<std::string>();
        }
    }

    std::vector<std::int64_t> integersOf(const std::string& name, const Json& entry, const char* key) const {
        const auto found = entry.find(key);
        if (found == entry.end() || !found->is_array()) fail(name, fmt::format("no list \"{}\"", key));
        std::vector<std::int64_t> values;
        for (const Json& item : *found) {
            if (!item.is_number_unsigned() || item.get<std::uint64_t>() > (std::uint64_t{1} << 62))
                fail(name, fmt::format("\"{}\" holds something that is no size", key));
            values.push_back(item.get<std::int64_t>());
        }
        return values;
    }

    TensorDtype dtypeOf(const std::string& name, const Json& entry) const {
        const auto found = entry.find("dtype");
        if (found == entry.end() || !found->is_string()) fail(name, "no dtype");
        const auto text = found->get<std::string>();
        for (const auto& [typeName, dtype] : kTypeNames)
            if (text == typeName) return dtype;
        fail(name, fmt::format("unknown dtype \"{}\"", printableText(text)));
    }

    void readTensor(const std::string& name, const Json& entry) {
        if (!entry.is_object()) fail(name, "entry is no object");
        const TensorDtype dtype = dtypeOf(name, entry);
        auto shape = integersOf(name, entry, "shape");
        const auto offsets = integersOf(name, entry, "data_offsets");
        if (offsets.size() != 2 || offsets[0] > offsets[1] || static_cast<std::uint64_t>(offsets[1]) > data_.size())
            fail(name, fmt::format("data_offsets lie outside the {} bytes of data", data_.size()));
        const auto begin = static_cast<std::uint64_t>(offsets[0]);
        const auto end = static_cast<std::uint64_t>(offsets[1]);
        const auto count = static_cast<std::uint64_t>(checkedElementCount(shape, file_->path().string()));
        const std::uint64_t size = tensorDtypeSize(dtype);
        if ((end - begin) % size != 0 || (end - begin) / size != count)
            fail(name,
                 fmt::format("{} bytes for shape {} of {}", end - begin, formatShape(shape), tensorDtypeName(dtype)));
        pieces_.push_back({begin, end, name});
        result_.tensors.emplace_back(name, view(dtype, std::move(shape), data_.subspan(begin, end - begin)));
    }

    TensorRecord view(TensorDtype dtype, std::vector<std::int64_t> shape, std::span<const std::uint8_t> bytes) const {
        if (nativeByteOrder() == ByteOrder::Little) return TensorRecord::over(dtype, std::move(shape), bytes, file_);
        std::vector<std::uint8_t> swapped(bytes.begin(), bytes.end());
        reverseByteOrder(swapped, dtype);
        return TensorRecord::owning(dtype, std::move(shape), std::move(swapped));
    }

    void requireCovered() {
        std::sort(pieces_.begin(), pieces_.end(),
                  [](const Piece& a, const Piece& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
        std::uint64_t expected = 0;
        for (const Piece& piece : pieces_) {
            if (piece.begin < expected) fail(piece.name, "overlaps another tensor");
            if (piece.begin > expected)
                fail(piece.name, fmt::format("{} unused bytes before it", piece.begin - expected));
            expected = piece.end;
        }
        if (expected != data_.size())
            fail(fmt::format("{} bytes follow the last tensor: damaged or cut off", data_.size() - expected));
    }

    std::shared_ptr<const MappedFile> file_;
    std::span<const std::uint8_t> data_;
    std::vector<Piece> pieces_;
    SafetensorsFile result_;
};

const char* typeNameOf(TensorDtype dtype, const std::string& file, const std::string& tensor) {
    for (const auto& [name, known] : kTypeNames)
        if (known == dtype) return name;
    throw DataError(file, fmt::format("tensor {}: safetensors has no type {}", tensor, tensorDtypeName(dtype)));
}

TensorDtype storedDtype(const TensorRecord& tensor, const SafetensorsOptions& options) {
    return options.floatingDtype && isFloating(tensor.dtype) ? *options.floatingDtype : tensor.dtype;
}

void writeTensor(AtomicFile& file, const TensorRecord& tensor, TensorDtype dtype) {
    const TensorRecord packed = tensor.converted(dtype).contiguous();
    const auto bytes = packed.packedBytes();
    if (nativeByteOrder() == ByteOrder::Little) {
        file.write(bytes.data(), bytes.size());
        return;
    }
    std::vector<std::uint8_t> swapped(bytes.begin(), bytes.end());
    reverseByteOrder(swapped, dtype);
    file.write(swapped.data(), swapped.size());
}

}  // namespace

bool looksLikeSafetensors(std::span<const std::uint8_t> start) {
    return start.size() > 9 && loadNumber<std::uint64_t>(start.data()) <= kLargestHeader && start[8] == '{';
}

SafetensorsFile readSafetensors(const fs::path& path) {
    return HeaderReader(std::make_shared<MappedFile>(path)).run();
}

void writeSafetensors(const fs::path& path, const NamedTensors& tensors, const SafetensorsOptions& options) {
    std::vector<const NamedTensors::value_type*> order;
    for (const auto& entry : tensors) order.push_back(&entry);
    std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
        return tensorDtypeSize(storedDtype(a->second, options)) > tensorDtypeSize(storedDtype(b->second, options));
    });

    Json header = Json::object();
    if (!options.metadata.empty()) header[kMetadataKey] = options.metadata;
    std::set<std::string_view> names;
    std::uint64_t position = 0;
    for (const auto* entry : order) {
        const auto& [name, tensor] = *entry;
        if (name == kMetadataKey || !names.insert(name).second)
            throw DataError(path.string(), fmt::format("two tensors are named {}", printableText(name)));
        const TensorDtype dtype = storedDtype(tensor, options);
        const std::uint64_t end = position + static_cast<std::uint64_t>(tensor.elementCount()) * tensorDtypeSize(dtype);
        header[name] = {{"dtype", typeNameOf(dtype, path.string(), name)},
                        {"shape", tensor.shape},
                        {"data_offsets", {position, end}}};
        position = end;
    }
    std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
    text.resize((text.size() + 7) / 8 * 8, ' ');

    AtomicFile file(path);
    std::uint8_t length[8];
    storeNumber(length, static_cast<std::uint64_t>(text.size()));
    file.write(length, sizeof length);
    file.write(text);
    for (const auto* entry : order) writeTensor(file, entry->second, storedDtype(entry->second, options));
    file.commit();
}

}  // namespace medseg
