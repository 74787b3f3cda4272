#include "medseg/io/zip.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>

#include "medseg/base/error.h"
#include "medseg/io/byte_order.h"

namespace medseg {
namespace {

constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50;
constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kEnd64LocatorSignature = 0x07064b50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr std::uint16_t kZip64Field = 0x0001;
constexpr std::uint16_t kPaddingField = 0x4246;  // "FB", as PyTorch pads
constexpr std::uint32_t kNeedsZip64 = 0xffffffff;
constexpr std::uint16_t kStored = 0, kDeflated = 8;
constexpr std::uint16_t kEncryptedFlag = 1, kUtf8Flag = 1 << 11;
constexpr std::uint32_t kMaxAlignment = 4096;
/// No deflate stream expands more than 1032 times (RFC 1951: 258 bytes for 2 bits); some room for tiny streams.
constexpr std::uint64_t kMaxExpansion = 1032;
constexpr std::uint64_t kMinClaim = 1024;

std::uint16_t get16(const std::uint8_t* p) {
    return loadNumber<std::uint16_t>(p);
}
std::uint32_t get32(const std::uint8_t* p) {
    return loadNumber<std::uint32_t>(p);
}
std::uint64_t get64(const std::uint8_t* p) {
    return loadNumber<std::uint64_t>(p);
}

/// Little-endian record under construction.
class Record {
  public:
    Record& u16(std::uint64_t value) { return put<std::uint16_t>(value); }
    Record& u32(std::uint64_t value) { return put<std::uint32_t>(value); }
    Record& u64(std::uint64_t value) { return put<std::uint64_t>(value); }
    Record& text(std::string_view text) {
        bytes_.append(text);
        return *this;
    }
    Record& fill(std::size_t count, char value) {
        bytes_.append(count, value);
        return *this;
    }
    std::string_view bytes() const { return bytes_; }

  private:
    template <typename T>
    Record& put(std::uint64_t value) {
        std::array<std::uint8_t, sizeof(T)> number;
        storeNumber<T>(number.data(), static_cast<T>(value));
        bytes_.append(number.begin(), number.end());
        return *this;
    }
    std::string bytes_;
};

std::uint64_t clampTo32(std::uint64_t value) {
    return std::min<std::uint64_t>(value, kNeedsZip64);
}

/// Where the central directory lies.
struct DirectoryPlace {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::uint64_t entries = 0;
};

/// The end record stands at the end of the file, before a comment of up to 65535 bytes. npos when there is none.
std::size_t findEndRecord(ByteSpan file) {
    if (file.size() < kEndSize) return std::string::npos;
    const std::size_t last = file.size() - kEndSize;
    const std::size_t first = last - std::min<std::size_t>(last, 0xffff);
    for (std::size_t at = last + 1; at-- > first;)
        if (get32(&file[at]) == kEndSignature && at + kEndSize + get16(&file[at + 20]) == file.size()) return at;
    return std::string::npos;
}

/// Follows the zip64 locator if there is one before the end record. Returns false when it points nowhere.
bool readEnd64(ByteSpan file, std::size_t end, DirectoryPlace& place) {
    if (end < kLocatorSize || get32(&file[end - kLocatorSize]) != kEnd64LocatorSignature) return true;
    const std::uint64_t at = get64(&file[end - kLocatorSize + 8]);
    if (at > file.size() || file.size() - at < kEnd64Size || get32(&file[at]) != kEnd64Signature) return false;
    place = {get64(&file[at + 48]), get64(&file[at + 40]), get64(&file[at + 32])};
    return true;
}

/// Replaces the sizes and the offset that do not fit 32 bits by those of the zip64 field. False when it is too short.
bool applyZip64(ByteSpan extra, std::uint64_t& size, std::uint64_t& compressedSize, std::uint64_t& offset) {
    while (extra.size() >= 4) {
        const std::uint16_t id = get16(extra.data());
        const std::size_t length = get16(extra.data() + 2);
        if (length > extra.size() - 4) return false;
        ByteSpan field = extra.subspan(4, length);
        extra = extra.subspan(4 + length);
        if (id != kZip64Field) continue;
        for (std::uint64_t* value : {&size, &compressedSize, &offset}) {
            if (*value != kNeedsZip64) continue;
            if (field.size() < 8) return false;
            *value = get64(field.data());
            field = field.subspan(8);
        }
    }
    return true;
}

using PartKey = std::pair<const std::uint8_t*, std::size_t>;

PartKey keyOf(ByteSpan part) {
    return {part.data(), part.size()};
}

bool hasRepeats(std::span<const ByteSpan> parts) {
    std::set<PartKey> seen;
    return !std::all_of(parts.begin(), parts.end(), [&](ByteSpan part) { return seen.insert(keyOf(part)).second; });
}

}  // namespace

ZipReader::ZipReader(const fs::path& path) : file_(std::make_unique<MappedFile>(path)) {
    readDirectory();
}

bool ZipReader::looksLikeZip(ByteSpan bytes) {
    return bytes.size() >= 4 && (get32(bytes.data()) == kLocalSignature || get32(bytes.data()) == kEndSignature);
}

void ZipReader::fail(const std::string& problem) const {
    throw DataError(path().string(), problem);
}

void ZipReader::fail(const ZipEntry& entry, const std::string& problem) const {
    fail(fmt::format("entry \"{}\": {}", entry.name, problem));
}

void ZipReader::readDirectory() {
    const ByteSpan file = file_->bytes();
    const std::size_t end = findEndRecord(file);
    if (end == std::string::npos) fail("no zip archive: the end record is missing: the file may be truncated");
    DirectoryPlace place{get32(&file[end + 16]), get32(&file[end + 12]), get16(&file[end + 10])};
    if (!readEnd64(file, end, place)) fail("damaged zip archive: the zip64 end record is missing");
    if (place.offset > end || place.size > end - place.offset)
        fail(fmt::format("damaged zip archive: the directory ({} bytes at {}) lies outside the file", place.size,
                         place.offset));
    if (place.entries > place.size / kCentralSize)
        fail(fmt::format("damaged zip archive: {} entries do not fit a directory of {} bytes", place.entries,
                         place.size));
    ByteSpan directory = file.subspan(place.offset, place.size);
    entries_.reserve(place.entries);
    for (std::uint64_t i = 0; i < place.entries; ++i) {
        if (directory.size() < kCentralSize || get32(directory.data()) != kCentralSignature)
            fail(fmt::format("damaged zip archive: directory entry {} is not one", i));
        const std::size_t length = kCentralSize + get16(&directory[28]) + get16(&directory[30]) + get16(&directory[32]);
        if (length > directory.size()) fail(fmt::format("damaged zip archive: directory entry {} is truncated", i));
        addEntry(directory.first(length));
        directory = directory.subspan(length);
    }
}

void ZipReader::addEntry(ByteSpan header) {
    const ByteSpan file = file_->bytes();
    const std::size_t nameLength = get16(&header[28]), extraLength = get16(&header[30]);
    ZipEntry entry;
    entry.name.assign(reinterpret_cast<const char*>(header.data() + kCentralSize), nameLength);
    entry.crc = get32(&header[16]);
    entry.compressedSize = get32(&header[20]);
    entry.size = get32(&header[24]);
    std::uint64_t headerOffset = get32(&header[42]);
    if (!applyZip64(header.subspan(kCentralSize + nameLength, extraLength), entry.size, entry.compressedSize,
                    headerOffset))
        fail(entry, "damaged zip64 sizes");
    const std::uint16_t flags = get16(&header[8]), method = get16(&header[10]);
    if ((flags & kEncryptedFlag) != 0) fail(entry, "is encrypted, which is not supported");
    if (method != kStored && method != kDeflated)
        fail(entry, fmt::format("compression method {} is not supported: use stored or deflated entries", method));
    entry.deflated = method == kDeflated;

    if (headerOffset > file.size() || file.size() - headerOffset < kLocalSize ||
        get32(&file[headerOffset]) != kLocalSignature)
        fail(entry, "its header lies outside the file or is damaged");
    entry.dataOffset = headerOffset + kLocalSize + get16(&file[headerOffset + 26]) + get16(&file[headerOffset + 28]);
    if (entry.dataOffset > file.size() || entry.compressedSize > file.size() - entry.dataOffset)
        fail(entry, fmt::format("truncated: claims {} bytes at {} of a file of {} bytes", entry.compressedSize,
                                entry.dataOffset, file.size()));
    if (!entry.deflated && entry.size != entry.compressedSize)
        fail(entry, fmt::format("stored entry with two sizes: {} and {} bytes", entry.size, entry.compressedSize));
    if (entry.deflated && entry.size / kMaxExpansion > entry.compressedSize + kMinClaim)
        fail(entry, fmt::format("claims a size of {} bytes, more than {} compressed bytes can hold", entry.size,
                                entry.compressedSize));
    byName_[entry.name] = entries_.size();
    entries_.push_back(std::move(entry));
}

const ZipEntry* ZipReader::find(std::string_view name) const {
    const auto found = byName_.find(name);
    return found == byName_.end() ? nullptr : &entries_[found->second];
}

const ZipEntry& ZipReader::at(std::string_view name) const {
    const ZipEntry* entry = find(name);
    if (entry == nullptr) fail(fmt::format("holds no entry \"{}\"", name));
    return *entry;
}

ByteSpan ZipReader::rawBytes(const ZipEntry& entry) const {
    return file_->bytes().subspan(entry.dataOffset, entry.compressedSize);
}

ByteSpan ZipReader::storedBytes(const ZipEntry& entry) const {
    if (entry.deflated) fail(entry, "is compressed: it cannot be used in place");
    return rawBytes(entry);
}

std::vector<std::uint8_t> ZipReader::read(const ZipEntry& entry) const {
    std::vector<std::uint8_t> bytes(entry.size);
    readInto(entry, bytes);
    return bytes;
}

void ZipReader::readInto(const ZipEntry& entry, std::span<std::uint8_t> output) const {
    if (output.size() != entry.size)
        fail(entry, fmt::format("holds {} bytes, {} are expected", entry.size, output.size()));
    const ByteSpan raw = rawBytes(entry);
    if (!entry.deflated)
        std::copy(raw.begin(), raw.end(), output.begin());
    else if (!inflateStream(raw, output))
        fail(entry, "damaged compressed data, or not of the size that the archive states");
    if (crc32Of(output) != entry.crc) fail(entry, "CRC checksum mismatch: the data are corrupt");
}

std::vector<std::uint8_t> ZipReader::readStart(const ZipEntry& entry, std::size_t count) const {
    const ByteSpan raw = rawBytes(entry);
    std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(count, entry.size));
    if (!entry.deflated) {
        std::copy_n(raw.begin(), bytes.size(), bytes.begin());
        return bytes;
    }
    const auto state = std::make_unique<inflate_state>();
    isal_inflate_init(state.get());
    state->next_in = const_cast<std::uint8_t*>(raw.data());
    state->avail_in =
        static_cast<std::uint32_t>(std::min<std::size_t>(raw.size(), std::numeric_limits<std::uint32_t>::max()));
    state->next_out = bytes.data();
    state->avail_out = static_cast<std::uint32_t>(bytes.size());
    if (isal_inflate(state.get()) != ISAL_DECOMP_OK || state->avail_out != 0) fail(entry, "damaged compressed data");
    return bytes;
}

ZipWriter::ZipWriter(const fs::path& path) : file_(path) {}

void ZipWriter::writeLocalHeader(WrittenEntry& written, std::uint32_t alignment) {
    const ZipEntry& entry = written.entry;
    written.headerOffset = file_.position();
    // Also when compressed data could grow past 4 GiB; the field is always complete, as the standard wants it here.
    written.zip64 = entry.size >= kNeedsZip64 - (entry.size >> 10) - 4096 || written.headerOffset >= kNeedsZip64;
    Record extra;
    if (written.zip64) extra.u16(kZip64Field).u16(16).u64(entry.size).u64(entry.compressedSize);
    alignment = std::clamp<std::uint32_t>(alignment, 1, kMaxAlignment);
    const std::uint64_t dataStart = written.headerOffset + kLocalSize + entry.name.size() + extra.bytes().size();
    if (alignment > 1 && dataStart % alignment != 0) {
        const std::uint64_t padding = alignment - (dataStart + 4) % alignment;
        extra.u16(kPaddingField).u16(padding % alignment).fill(padding % alignment, 'Z');
    }
    Record header;
    header.u32(kLocalSignature)
        .u16(written.zip64 ? 45 : 20)
        .u16(kUtf8Flag)
        .u16(entry.deflated ? kDeflated : kStored)
        .u16(0)  // time and date: the first day of the format, so that equal content gives equal files
        .u16(0x0021)
        .u32(entry.crc)
        .u32(written.zip64 ? kNeedsZip64 : entry.compressedSize)
        .u32(written.zip64 ? kNeedsZip64 : entry.size)
        .u16(entry.name.size())
        .u16(extra.bytes().size())
        .text(entry.name);
    file_.write(header.bytes());
    file_.write(extra.bytes());
    written.entry.dataOffset = file_.position();
}

void ZipWriter::patchLocalHeader(const WrittenEntry& written) {
    const ZipEntry& entry = written.entry;
    Record checksum;
    checksum.u32(entry.crc);
    if (!written.zip64) checksum.u32(entry.compressedSize).u32(entry.size);
    file_.writeAt(written.headerOffset + 14, checksum.bytes().data(), checksum.bytes().size());
    if (!written.zip64) return;
    Record sizes;
    sizes.u64(entry.size).u64(entry.compressedSize);
    file_.writeAt(written.headerOffset + kLocalSize + entry.name.size() + 4, sizes.bytes().data(),
                  sizes.bytes().size());
}

void ZipWriter::addParts(const std::string& name, std::span<const ByteSpan> parts, const EntryOptions& options) {
    const std::uint64_t size = totalSize(parts);
    if (options.level <= 0 || size == 0) {
        begin(name, size, options.alignment);
        for (const ByteSpan part : parts) append(part);
        end();
        return;
    }
    WrittenEntry written;
    written.entry = {.name = name, .size = size, .deflated = true};
    writeLocalHeader(written, options.alignment);
    if (hasRepeats(parts)) {
        written.entry.crc = writeRepeatedParts(parts, options.level);
    } else {
        std::vector<DeflateChunk> chunks = cutIntoChunks(parts, kDeflateChunkSize);
        written.entry.crc =
            deflateChunks(chunks, options.level, [&](ByteSpan piece) { file_.write(piece.data(), piece.size()); });
    }
    written.entry.compressedSize = file_.position() - written.entry.dataOffset;
    patchLocalHeader(written);
    written_.push_back(std::move(written));
}

std::uint32_t ZipWriter::writeRepeatedParts(std::span<const ByteSpan> parts, int level) {
    struct Packed {
        std::vector<std::uint8_t> bytes;
        std::uint32_t crc = 0;
    };
    std::map<PartKey, Packed> known;
    std::uint32_t crc = 0;
    for (const ByteSpan part : parts) {
        const auto [place, isNew] = known.try_emplace(keyOf(part));
        Packed& packed = place->second;
        if (isNew) {
            std::vector<DeflateChunk> chunks = cutIntoChunks({&part, 1}, kDeflateChunkSize);
            const auto keep = [&](ByteSpan piece) {
                packed.bytes.insert(packed.bytes.end(), piece.begin(), piece.end());
            };
            packed.crc = deflateChunks(chunks, level, keep, false);
        }
        file_.write(packed.bytes.data(), packed.bytes.size());
        crc = combineCrc32(crc, packed.crc, part.size());
    }
    file_.write(kEmptyLastBlock.data(), kEmptyLastBlock.size());
    return crc;
}

void ZipWriter::begin(const std::string& name, std::uint64_t size, std::uint32_t alignment) {
    if (open_) throw std::logic_error("ZipWriter: the last entry was not ended");
    if (name.size() > 0xffff) throw std::logic_error("ZipWriter: entry name too long");
    WrittenEntry written;
    written.entry = {.name = name, .size = size, .compressedSize = size};
    writeLocalHeader(written, alignment);
    written_.push_back(std::move(written));
    remaining_ = size;
    open_ = true;
}

void ZipWriter::append(ByteSpan bytes) {
    if (!open_ || bytes.size() > remaining_) throw std::logic_error("ZipWriter: more bytes than announced");
    ZipEntry& entry = written_.back().entry;
    entry.crc = crc32Of(bytes, entry.crc);
    file_.write(bytes.data(), bytes.size());
    remaining_ -= bytes.size();
}

void ZipWriter::end() {
    if (!open_ || remaining_ != 0) throw std::logic_error("ZipWriter: fewer bytes than announced");
    patchLocalHeader(written_.back());
    open_ = false;
}

void ZipWriter::writeCentralHeader(const WrittenEntry& written) {
    const ZipEntry& entry = written.entry;
    Record extra;
    if (written.zip64)
        extra.u16(kZip64Field).u16(24).u64(entry.size).u64(entry.compressedSize).u64(written.headerOffset);
    Record header;
    header.u32(kCentralSignature)
        .u16(written.zip64 ? 45 : 20)
        .u16(written.zip64 ? 45 : 20)
        .u16(kUtf8Flag)
        .u16(entry.deflated ? kDeflated : kStored)
        .u16(0)
        .u16(0x0021)
        .u32(entry.crc)
        .u32(written.zip64 ? kNeedsZip64 : entry.compressedSize)
        .u32(written.zip64 ? kNeedsZip64 : entry.size)
        .u16(entry.name.size())
        .u16(extra.bytes().size())
        .u16(0)  // comment
        .u16(0)  // disk
        .u16(0)
        .u32(0)
        .u32(written.zip64 ? kNeedsZip64 : written.headerOffset)
        .text(entry.name);
    file_.write(header.bytes());
    file_.write(extra.bytes());
}

void ZipWriter::commit() {
    if (open_) throw std::logic_error("ZipWriter: the last entry was not ended");
    const std::uint64_t start = file_.position();
    for (const WrittenEntry& written : written_) writeCentralHeader(written);
    const std::uint64_t end = file_.position(), size = end - start, count = written_.size();
    Record tail;
    if (start >= kNeedsZip64 || size >= kNeedsZip64 || count >= 0xffff) {
        tail.u32(kEnd64Signature).u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count).u64(size).u64(start);
        tail.u32(kEnd64LocatorSignature).u32(0).u64(end).u32(1);
    }
    const std::uint64_t count16 = std::min<std::uint64_t>(count, 0xffff);
    tail.u32(kEndSignature).u16(0).u16(0).u16(count16).u16(count16).u32(clampTo32(size)).u32(clampTo32(start)).u16(0);
    file_.write(tail.bytes());
    file_.commit();
}

}  // namespace medseg
