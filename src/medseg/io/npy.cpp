#include "medseg/io/npy.h"

#include <array>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/half_float.h"
#include "medseg/io/npy_header.h"
#include "medseg/io/zip.h"

namespace medseg {
namespace {

constexpr std::string_view kMemberEnding = ".npy";
constexpr std::int64_t kBytesPerTask = 1 << 20;

struct TypeFacts {
    NpyType type;
    const char* name;
    const char* code;  // numpy's kind and size
    std::size_t size;
};
constexpr std::array<TypeFacts, 12> kTypes{{{NpyType::Bool, "bool", "b1", 1},
                                            {NpyType::U8, "uint8", "u1", 1},
                                            {NpyType::I8, "int8", "i1", 1},
                                            {NpyType::U16, "uint16", "u2", 2},
                                            {NpyType::I16, "int16", "i2", 2},
                                            {NpyType::U32, "uint32", "u4", 4},
                                            {NpyType::I32, "int32", "i4", 4},
                                            {NpyType::U64, "uint64", "u8", 8},
                                            {NpyType::I64, "int64", "i8", 8},
                                            {NpyType::F16, "float16", "f2", 2},
                                            {NpyType::F32, "float32", "f4", 4},
                                            {NpyType::F64, "float64", "f8", 8}}};

const TypeFacts& factsOf(NpyType type) {
    return kTypes[static_cast<std::size_t>(type)];
}

/// numpy's type string, e.g. "<i2".
std::string descriptorOf(NpyType type) {
    const TypeFacts& facts = factsOf(type);
    return fmt::format("{}{}", facts.size == 1 ? '|' : '<', facts.code);
}

template <typename T>
void swapAll(std::vector<std::uint8_t>& bytes) {
    T* values = reinterpret_cast<T*>(bytes.data());
    parallelFor(0, static_cast<std::int64_t>(bytes.size() / sizeof(T)), kBytesPerTask,
                [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t i = first; i < last; ++i) values[i] = byteSwapped(values[i]);
                });
}

void swapBytes(std::vector<std::uint8_t>& bytes, std::size_t elementSize) {
    if (elementSize == 2) swapAll<std::uint16_t>(bytes);
    if (elementSize == 4) swapAll<std::uint32_t>(bytes);
    if (elementSize == 8) swapAll<std::uint64_t>(bytes);
}

/// From first axis fastest to last axis fastest.
template <typename T>
void reorderAs(std::vector<std::uint8_t>& bytes, const std::vector<std::int64_t>& shape) {
    std::vector<std::uint8_t> result(bytes.size());
    const T* from = reinterpret_cast<const T*>(bytes.data());
    T* to = reinterpret_cast<T*>(result.data());
    const auto count = static_cast<std::int64_t>(bytes.size() / sizeof(T));
    if (count == 0) return;
    const std::int64_t rowLength = shape.back();
    std::int64_t sourceStep = 1;  // between neighbours of the last axis
    for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) sourceStep *= shape[axis];
    parallelFor(0, count / rowLength, std::max<std::int64_t>(1, kBytesPerTask / rowLength),
                [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t row = first; row < last; ++row) {
                        std::int64_t rest = row, source = 0, stride = sourceStep;
                        for (std::size_t axis = shape.size() - 1; axis-- > 0;) {
                            stride /= shape[axis];
                            source += rest % shape[axis] * stride;
                            rest /= shape[axis];
                        }
                        for (std::int64_t i = 0; i < rowLength; ++i)
                            to[row * rowLength + i] = from[source + i * sourceStep];
                    }
                });
    bytes = std::move(result);
}

void reorderToC(std::vector<std::uint8_t>& bytes, const std::vector<std::int64_t>& shape, std::size_t elementSize) {
    if (shape.size() < 2) return;
    if (elementSize == 1) reorderAs<std::uint8_t>(bytes, shape);
    if (elementSize == 2) reorderAs<std::uint16_t>(bytes, shape);
    if (elementSize == 4) reorderAs<std::uint32_t>(bytes, shape);
    if (elementSize == 8) reorderAs<std::uint64_t>(bytes, shape);
}

/// Puts data that lie as the header says into native C order.
NpyArray arrange(const NpyHeader& header, std::vector<std::uint8_t> bytes) {
    const std::size_t size = npyTypeSize(*header.type);
    if (header.byteOrder != nativeByteOrder()) swapBytes(bytes, size);
    if (header.fortranOrder) reorderToC(bytes, header.shape, size);
    return {*header.type, header.shape, std::move(bytes)};
}

/// Checks a header against the bytes that follow it in file or archive.
std::size_t checkedDataSize(const NpyHeader& header, std::uint64_t available, const std::string& source) {
    header.requirePlainType(source);
    const std::optional<std::uint64_t> needed = header.dataSize();
    if (!needed || *needed > available)
        throw DataError(source, fmt::format("truncated: shape ({}) of {} needs {} bytes, {} are there",
                                            fmt::join(header.shape, ", "), header.typeName(),
                                            needed ? fmt::to_string(*needed) : "more than 2^64", available));
    return static_cast<std::size_t>(*needed);
}

void appendUtf8(std::uint32_t point, std::string& text) {
    constexpr std::uint32_t kLast = 0x10FFFF, kReplacement = 0xFFFD;
    if (point > kLast) point = kReplacement;
    const int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    constexpr std::array<std::uint32_t, 4> kLeads{0, 0xC0, 0xE0, 0xF0};
    text.push_back(static_cast<char>(kLeads[static_cast<std::size_t>(more)] | point >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) text.push_back(static_cast<char>(0x80U | ((point >> (6 * i)) & 0x3FU)));
}

ByteSpan asBytes(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string npyHeaderText(NpyType type, const std::vector<std::int64_t>& shape) {
    const std::string extents =  // (3,) but (3, 4)
        fmt::format("{}{}", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
    const std::string text =
        fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descriptorOf(type), extents);
    // numpy pads so that the data start at a multiple of 64.
    constexpr std::size_t kPrefix = 10, kAlignment = 64;
    const std::size_t padded = (kPrefix + text.size() + kAlignment) / kAlignment * kAlignment - kPrefix;
    return fmt::format("\x93NUMPY\x01{}{}{}{:<{}}\n", '\0', static_cast<char>(padded & 0xff),
                       static_cast<char>(padded >> 8), text, padded - 1);
}

std::string npyTypeName(NpyType type) {
    return factsOf(type).name;
}
std::size_t npyTypeSize(NpyType type) {
    return factsOf(type).size;
}

std::optional<NpyType> npyTypeFromCode(std::string_view code) {
    for (const TypeFacts& facts : kTypes)
        if (code == facts.code) return facts.type;
    return std::nullopt;
}

std::int64_t NpyArray::elementCount() const {
    std::int64_t count = 1;
    for (const auto n : shape) count *= n;
    return count;
}

void NpyArray::requireType(NpyType wanted) const {
    const bool sameBits = wanted == type || (wanted == NpyType::U16 && type == NpyType::F16) ||
                          (wanted == NpyType::U8 && type == NpyType::Bool);
    if (!sameBits)
        throw DataError(fmt::format("array of {} was asked for as {}", npyTypeName(type), npyTypeName(wanted)));
}

std::vector<double> NpyArray::toDoubles() const {
    std::vector<double> values(static_cast<std::size_t>(elementCount()));
    const auto convert = [&]<typename T>(const T*) {
        const T* source = reinterpret_cast<const T*>(bytes.data());
        std::transform(source, source + values.size(), values.begin(),
                       [](T value) { return static_cast<double>(value); });
    };
    switch (type) {
        case NpyType::Bool:
        case NpyType::U8:
            convert(static_cast<const std::uint8_t*>(nullptr));
            break;
        case NpyType::I8:
            convert(static_cast<const std::int8_t*>(nullptr));
            break;
        case NpyType::U16:
            convert(static_cast<const std::uint16_t*>(nullptr));
            break;
        case NpyType::I16:
            convert(static_cast<const std::int16_t*>(nullptr));
            break;
        case NpyType::U32:
            convert(static_cast<const std::uint32_t*>(nullptr));
            break;
        case NpyType::I32:
            convert(static_cast<const std::int32_t*>(nullptr));
            break;
        case NpyType::U64:
            convert(static_cast<const std::uint64_t*>(nullptr));
            break;
        case NpyType::I64:
            convert(static_cast<const std::int64_t*>(nullptr));
            break;
        case NpyType::F32:
            convert(static_cast<const float*>(nullptr));
            break;
        case NpyType::F64:
            convert(static_cast<const double*>(nullptr));
            break;
        case NpyType::F16: {
            const auto* source = reinterpret_cast<const std::uint16_t*>(bytes.data());
            std::transform(source, source + values.size(), values.begin(), halfToFloat);
        }
    }
    return values;
}

NpyArray readNpy(const std::filesystem::path& path) {
    const MappedFile file(path);
    const NpyHeader header = parseNpyHeader(file.bytes(), path.string());
    const ByteSpan data = file.bytes().subspan(header.dataOffset);
    const std::size_t size = checkedDataSize(header, data.size(), path.string());
    return arrange(header, {data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size)});
}

void writeNpy(const std::filesystem::path& path, const NpyArray& array) {
    AtomicFile file(path);
    const auto header = npyHeaderText(array.type, array.shape);
    file.write(header);
    file.write(array.bytes.data(), array.bytes.size());
    file.commit();
}

NpzFile::NpzFile(const std::filesystem::path& path) : zip_(std::make_shared<const ZipReader>(path)) {}

std::string NpzFile::sourceOf(const std::string& name) const {
    return fmt::format("{}: array \"{}\"", zip_->path().string(), name);
}

const ZipEntry* NpzFile::find(const std::string& name) const {
    const ZipEntry* entry = zip_->find(name + std::string(kMemberEnding));
    return entry != nullptr ? entry : zip_->find(name);
}

std::vector<std::string> NpzFile::names() const {
    std::vector<std::string> names;
    for (const ZipEntry& entry : zip_->entries()) {
        std::string name = entry.name;
        if (name.ends_with(kMemberEnding)) name.resize(name.size() - kMemberEnding.size());
        names.push_back(std::move(name));
    }
    return names;
}

bool NpzFile::contains(const std::string& name) const {
    return find(name) != nullptr;
}

NpyHeader NpzFile::header(const std::string& name) const {
    const ZipEntry* entry = find(name);
    if (entry == nullptr)
        throw DataError(zip_->path().string(),
                        fmt::format("holds no array \"{}\", only {}", name, fmt::join(names(), ", ")));
    return parseNpyHeader(zip_->readStart(*entry, kMaxNpyHeaderSize), sourceOf(name));
}

NpyArray NpzFile::read(const std::string& name) const {
    const NpyHeader head = header(name);
    const ZipEntry& entry = *find(name);
    const std::size_t size = checkedDataSize(head, entry.size - head.dataOffset, sourceOf(name));
    std::vector<std::uint8_t> bytes = zip_->read(entry);
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(head.dataOffset));
    bytes.resize(size);
    return arrange(head, std::move(bytes));
}

std::string NpzFile::readText(const std::string& name) const {
    const NpyHeader head = header(name);
    if (!head.isText()) throw DataError(sourceOf(name), fmt::format("is no text but {}", head.typeName()));
    const ZipEntry& entry = *find(name);
    const std::vector<std::uint8_t> bytes = zip_->read(entry);
    std::string text;
    for (std::size_t at = head.dataOffset; at + 4 <= bytes.size(); at += 4) {
        const auto point = loadNumber<std::uint32_t>(&bytes[at], head.byteOrder);
        if (point == 0) break;  // shorter texts are padded
        appendUtf8(point, text);
    }
    return text;
}

void writeNpz(const std::filesystem::path& path, const std::map<std::string, NpyArray>& arrays, bool compress) {
    std::vector<NpzMember> members;
    for (const auto& [name, array] : arrays) members.push_back({name, array.type, array.shape, array.bytes});
    writeNpz(path, members, compress);
}

void writeNpz(const std::filesystem::path& path, const std::vector<NpzMember>& members, bool compress) {
    ZipWriter zip(path);
    for (const NpzMember& member : members) {
        const std::string header = npyHeaderText(member.type, member.shape);
        const std::array<ByteSpan, 2> parts{asBytes(header), member.bytes};
        zip.addParts(member.name + std::string(kMemberEnding), parts,
                     {.level = compress ? 1 : 0, .alignment = compress ? 1u : 64u});
    }
    zip.commit();
}

}  // namespace medseg
