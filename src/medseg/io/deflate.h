// The deflate compression (RFC 1951) under gzip, zip and PNG, on memory: libdeflate and ISA-L behind one door.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace medseg {

using ByteSpan = std::span<const std::uint8_t>;

/// CRC-32 as gzip and zip use it; `crc` is the value of the bytes before (0 at the start).
std::uint32_t crc32Of(ByteSpan bytes, std::uint32_t crc = 0);
/// CRC-32 of A followed by B from the CRCs of both and the length of B.
std::uint32_t combineCrc32(std::uint32_t crcA, std::uint32_t crcB, std::uint64_t lengthB);

/// Inflates one complete raw deflate stream. Returns false when it is damaged, or does not give exactly `output.size()`
/// bytes.
bool inflateStream(ByteSpan input, std::span<std::uint8_t> output);

/// Compression levels: 1 (fastest) to 12 (smallest); 1 to 3 are the same, so are 9 to 12. Values outside are brought to
/// the nearest.
constexpr int kFastestLevel = 1;
constexpr int kSmallestLevel = 12;

/// A piece of input and what became of it.
struct DeflateChunk {
    ByteSpan input;
    std::uint32_t compressedSize = 0;
};

/// Compresses consecutive chunks in parallel into ONE raw deflate stream. Every chunk but the last ends at a byte
/// boundary (an empty stored block) and no chunk refers to bytes of another, so that a reader that knows the sizes can
/// inflate them independently. `sink` receives the stream in order, from one thread at a time. Fills `compressedSize`
/// of the chunks. Returns the CRC-32 of all input. The bytes do not depend on the number of threads. With `ends` false
/// the stream stays open at a byte boundary: more such streams may follow, then kEmptyLastBlock.
std::uint32_t deflateChunks(std::span<DeflateChunk> chunks, int level, const std::function<void(ByteSpan)>& sink,
                            bool ends = true);

/// Ends a stream that deflateChunks() left open.
inline constexpr std::array<std::uint8_t, 5> kEmptyLastBlock{0x01, 0x00, 0x00, 0xff, 0xff};

constexpr std::size_t kDeflateChunkSize = std::size_t{1} << 19;

std::uint64_t totalSize(std::span<const ByteSpan> parts);
/// Cuts consecutive parts into chunks of at most `chunkSize` bytes, none across parts (one empty chunk for no bytes at
/// all).
std::vector<DeflateChunk> cutIntoChunks(std::span<const ByteSpan> parts, std::size_t chunkSize);

}  // namespace medseg
