#include "medseg/io/gzip.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/threads.h"
#include "medseg/io/byte_order.h"

namespace medseg {
namespace {

constexpr std::uint8_t kMagic1 = 0x1f, kMagic2 = 0x8b, kDeflateMethod = 8;
constexpr std::uint8_t kHeaderCrcFlag = 2, kExtraFlag = 4, kNameFlag = 8, kCommentFlag = 16, kReservedFlags = 0xe0;
constexpr std::size_t kFixedHeaderSize = 10, kTrailerSize = 8;
constexpr std::size_t kZlibHeaderSize = 2, kAdlerSize = 4;
constexpr std::size_t kPieceSize = std::size_t{1} << 20;  // inflated at a time, so that its CRC is taken in the cache

// Extra field: id "mS", length, version 1, then size and compressed size of each chunk.
constexpr std::array<std::uint8_t, 2> kIndexId{'m', 'S'};
constexpr std::uint32_t kIndexVersion = 1;
constexpr std::size_t kIndexEntrySize = 8, kSubfieldHeaderSize = 4, kVersionSize = 4;
constexpr std::size_t kMaxIndexEntries = (0xffff - kSubfieldHeaderSize - kVersionSize) / kIndexEntrySize;
constexpr std::uint32_t kMaxChunkSize = std::uint32_t{1} << 28;

std::uint32_t clampTo32(std::size_t size) {
    return static_cast<std::uint32_t>(std::min<std::size_t>(size, std::numeric_limits<std::uint32_t>::max()));
}

void setInput(inflate_state& state, ByteSpan input) {
    state.next_in = const_cast<std::uint8_t*>(input.data());
    state.avail_in = clampTo32(input.size());
}

/// One chunk of a member with an index, which never refers to the bytes of another chunk.
bool inflateChunk(ByteSpan input, std::span<std::uint8_t> output) {
    if (output.empty()) return true;
    const auto state = std::make_unique<inflate_state>();
    isal_inflate_init(state.get());
    setInput(*state, input);
    state->next_out = output.data();
    state->avail_out = clampTo32(output.size());
    return isal_inflate(state.get()) == ISAL_DECOMP_OK && state->avail_out == 0;
}

}  // namespace

bool looksLikeGzip(ByteSpan bytes) {
    return bytes.size() >= 2 && bytes[0] == kMagic1 && bytes[1] == kMagic2;
}

GzipReader::GzipReader(ByteSpan file, std::string name, DeflateWrapper wrapper)
    : rest_(file), name_(std::move(name)), wrapper_(wrapper), state_(std::make_unique<inflate_state>()) {}

GzipReader::~GzipReader() = default;

void GzipReader::fail(const std::string& problem) const {
    throw DataError(name_, problem);
}

/// Parses the header of the next member. False at the end of the file.
bool GzipReader::startMember() {
    if (wrapper_ == DeflateWrapper::Zlib) return startZlib();
    if (std::all_of(rest_.begin(), rest_.end(), [](std::uint8_t b) { return b == 0; })) return false;
    if (!looksLikeGzip(rest_)) {
        if (!started_) fail("no gzip data: the magic number is missing");
        logWarning("{}: ignoring {} bytes behind the compressed data", name_, rest_.size());
        rest_ = {};
        return false;
    }
    const auto take = [&](std::size_t count) {
        if (rest_.size() < count) fail("truncated gzip header");
        const ByteSpan taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    };
    const ByteSpan fixed = take(kFixedHeaderSize);
    const std::uint8_t method = fixed[2], flags = fixed[3];
    if (method != kDeflateMethod || (flags & kReservedFlags) != 0) fail("corrupt gzip header");
    chunks_.clear();
    if ((flags & kExtraFlag) != 0) {
        const std::size_t length = loadNumber<std::uint16_t>(take(2).data());
        readIndex(take(length));
    }
    for (const std::uint8_t flag : {kNameFlag, kCommentFlag}) {
        if ((flags & flag) == 0) continue;
        const auto end = std::find(rest_.begin(), rest_.end(), std::uint8_t{0});
        if (end == rest_.end()) fail("truncated gzip header");
        take(static_cast<std::size_t>(end - rest_.begin()) + 1);
    }
    if ((flags & kHeaderCrcFlag) != 0) take(2);
    isal_inflate_init(state_.get());
    crc_ = 0;
    length_ = 0;
    nextChunk_ = 0;
    inMember_ = started_ = true;
    return true;
}

bool GzipReader::startZlib() {
    constexpr unsigned kHeaderModulus = 31, kPresetDictionary = 0x20;
    if (started_) return false;
    if (rest_.size() < kZlibHeaderSize || (rest_[0] & 0xf) != kDeflateMethod || (rest_[1] & kPresetDictionary) != 0 ||
        (unsigned{rest_[0]} << 8 | rest_[1]) % kHeaderModulus != 0)
        fail("no zlib data: the header is wrong");
    rest_ = rest_.subspan(kZlibHeaderSize);
    isal_inflate_init(state_.get());
    crc_ = 1;
    inMember_ = started_ = true;
    return true;
}

/// Takes the chunk sizes over if the member has our index; any doubt leaves it out, which only costs the parallelism.
void GzipReader::readIndex(ByteSpan extra) {
    while (extra.size() >= kSubfieldHeaderSize) {
        const std::size_t length = loadNumber<std::uint16_t>(extra.data() + 2);
        const bool ours = std::equal(kIndexId.begin(), kIndexId.end(), extra.begin());
        extra = extra.subspan(kSubfieldHeaderSize);
        if (length > extra.size()) return;
        ByteSpan field = extra.first(length);
        extra = extra.subspan(length);
        if (!ours || field.size() < kVersionSize || loadNumber<std::uint32_t>(field.data()) != kIndexVersion) continue;
        std::uint64_t compressed = 0;
        for (field = field.subspan(kVersionSize); field.size() >= kIndexEntrySize;
             field = field.subspan(kIndexEntrySize)) {
            chunks_.push_back({loadNumber<std::uint32_t>(field.data()), loadNumber<std::uint32_t>(field.data() + 4)});
            compressed += chunks_.back().compressedSize;
            if (chunks_.back().size > kMaxChunkSize || compressed > rest_.size()) return chunks_.clear();
        }
    }
}

std::size_t GzipReader::read(std::span<std::uint8_t> output) {
    std::size_t done = 0;
    while (done < output.size()) {
        throwIfInterrupted();
        if (!inMember_ && !startMember()) break;
        const auto space = output.subspan(done);
        done += chunks_.empty() ? readStream(space) : readChunks(space);
    }
    return done;
}

std::size_t GzipReader::readStream(std::span<std::uint8_t> output) {
    const std::size_t wanted = std::min(output.size(), kPieceSize);
    setInput(*state_, rest_);
    state_->next_out = output.data();
    state_->avail_out = static_cast<std::uint32_t>(wanted);
    const int status = isal_inflate(state_.get());
    if (status != ISAL_DECOMP_OK && status != ISAL_END_INPUT) fail("corrupt gzip data");
    const std::size_t got = wanted - state_->avail_out;
    const bool ended = state_->block_state == ISAL_BLOCK_FINISH;
    rest_ = rest_.subspan(static_cast<std::size_t>(state_->next_in - rest_.data()));
    crc_ = wrapper_ == DeflateWrapper::Zlib ? libdeflate_adler32(crc_, output.data(), got)
                                            : crc32Of(output.first(got), crc_);
    length_ += static_cast<std::uint32_t>(got);
    if (ended) {
        // The decoder reads ahead by whole bytes; those behind the end belong to the trailer.
        const std::size_t ahead = static_cast<std::size_t>(state_->read_in_length) / 8;
        rest_ = ByteSpan(rest_.data() - ahead, rest_.size() + ahead);
        endMember();
    } else if (got == 0 && rest_.empty()) {
        fail("truncated gzip data");
    }
    return got;
}

std::size_t GzipReader::readChunks(std::span<std::uint8_t> output) {
    if (pendingUsed_ < pending_.size()) {
        const std::size_t count = std::min(output.size(), pending_.size() - pendingUsed_);
        std::copy_n(pending_.begin() + static_cast<std::ptrdiff_t>(pendingUsed_), count, output.begin());
        pendingUsed_ += count;
        return count;
    }
    if (nextChunk_ == chunks_.size()) {
        endMember();
        return 0;
    }
    std::size_t last = nextChunk_, total = 0;
    while (last < chunks_.size() && chunks_[last].size <= output.size() - total) total += chunks_[last++].size;
    if (last > nextChunk_) {
        inflateChunksInto(nextChunk_, last, output.data());
    } else {
        // The compressed size limits the allocation: deflate expands at most 1032 times.
        const Chunk chunk = chunks_[nextChunk_];
        if (chunk.size / 1032 > chunk.compressedSize) fail("corrupt gzip data: the chunk index is wrong");
        pending_.resize(chunk.size);
        pendingUsed_ = 0;
        inflateChunksInto(nextChunk_, nextChunk_ + 1, pending_.data());
        ++last;
    }
    nextChunk_ = last;
    return total;
}

/// Inflates chunks [first, last) in parallel, one behind the other into `output`, and takes their CRC and input.
void GzipReader::inflateChunksInto(std::size_t first, std::size_t last, std::uint8_t* output) {
    struct Place {
        ByteSpan input;
        std::span<std::uint8_t> output;
        std::uint32_t crc = 0;
    };
    std::vector<Place> places;
    for (std::size_t i = first; i < last; ++i) {
        if (chunks_[i].compressedSize > rest_.size()) fail("truncated gzip data");
        places.push_back({rest_.first(chunks_[i].compressedSize), {output, chunks_[i].size}});
        rest_ = rest_.subspan(chunks_[i].compressedSize);
        output += chunks_[i].size;
    }
    parallelForEach(0, static_cast<std::int64_t>(places.size()), [&](std::int64_t i) {
        Place& place = places[static_cast<std::size_t>(i)];
        if (!inflateChunk(place.input, place.output)) fail("corrupt gzip data");
        place.crc = crc32Of(place.output);
    });
    for (const Place& place : places) {
        crc_ = combineCrc32(crc_, place.crc, place.output.size());
        length_ += static_cast<std::uint32_t>(place.output.size());
    }
}

void GzipReader::endZlib() {
    if (rest_.size() < kAdlerSize) fail("truncated zlib data: the checksum is missing");
    if (loadNumber<std::uint32_t>(rest_.data(), ByteOrder::Big) != crc_)
        fail("checksum mismatch: the zlib data are corrupt");
    rest_ = {};
    inMember_ = false;
}

void GzipReader::endMember() {
    if (wrapper_ == DeflateWrapper::Zlib) return endZlib();
    if (rest_.size() < kTrailerSize) fail("truncated gzip data: the checksum is missing");
    if (loadNumber<std::uint32_t>(rest_.data()) != crc_) fail("CRC checksum mismatch: the gzip data are corrupt");
    if (loadNumber<std::uint32_t>(rest_.data() + 4) != length_)
        fail("wrong length in the gzip trailer: the gzip data are corrupt");
    rest_ = rest_.subspan(kTrailerSize);
    inMember_ = false;
}

void GzipReader::finish(std::uint64_t limit) {
    std::vector<std::uint8_t> scratch(kPieceSize);
    for (std::uint64_t total = 0;;) {
        const std::size_t got = read(scratch);
        total += got;
        if (total > limit) fail(fmt::format("holds over {} bytes more than its header announces", limit));
        if (got < scratch.size()) return;
    }
}

std::uint64_t writeZlib(AtomicFile& file, ByteSpan bytes, int level) {
    const std::uint64_t start = file.position();
    constexpr std::array<std::uint8_t, kZlibHeaderSize> kHeader{0x78, 0x01};
    file.write(kHeader.data(), kHeader.size());
    std::vector<DeflateChunk> chunks = cutIntoChunks({&bytes, 1}, kDeflateChunkSize);
    deflateChunks(chunks, level, [&](ByteSpan piece) { file.write(piece.data(), piece.size()); });
    std::array<std::uint8_t, kAdlerSize> checksum;
    storeNumber(checksum.data(), libdeflate_adler32(1, bytes.data(), bytes.size()), ByteOrder::Big);
    file.write(checksum.data(), checksum.size());
    return file.position() - start;
}

void writeGzip(AtomicFile& file, std::span<const ByteSpan> parts, int level) {
    const std::uint64_t total = totalSize(parts);
    // Twice the average leaves room for the short chunk at the end of each part.
    std::vector<DeflateChunk> chunks = cutIntoChunks(parts, std::max(kDeflateChunkSize, 2 * total / kMaxIndexEntries));

    std::vector<std::uint8_t> header{kMagic1, kMagic2, kDeflateMethod, kExtraFlag, 0, 0, 0, 0, 0, 255};
    const std::size_t indexSize = kVersionSize + kIndexEntrySize * chunks.size();
    header.resize(kFixedHeaderSize + 2 + kSubfieldHeaderSize + indexSize);
    std::uint8_t* extra = header.data() + kFixedHeaderSize;
    storeNumber(extra, static_cast<std::uint16_t>(kSubfieldHeaderSize + indexSize));
    std::copy(kIndexId.begin(), kIndexId.end(), extra + 2);
    storeNumber(extra + 4, static_cast<std::uint16_t>(indexSize));
    storeNumber(extra + 6, kIndexVersion);
    const std::uint64_t start = file.position();
    file.write(header.data(), header.size());

    const std::uint32_t crc =
        deflateChunks(chunks, level, [&](ByteSpan piece) { file.write(piece.data(), piece.size()); });
    std::array<std::uint8_t, kTrailerSize> trailer;
    storeNumber(trailer.data(), crc);
    storeNumber(trailer.data() + 4, static_cast<std::uint32_t>(total));
    file.write(trailer.data(), trailer.size());

    std::uint8_t* entry = extra + 10;
    for (const DeflateChunk& chunk : chunks) {
        storeNumber(entry, static_cast<std::uint32_t>(chunk.input.size()));
        storeNumber(entry + 4, chunk.compressedSize);
        entry += kIndexEntrySize;
    }
    file.writeAt(start, header.data(), header.size());
}

}  // namespace medseg
