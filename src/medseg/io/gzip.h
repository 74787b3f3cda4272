// gzip files (RFC 1952) and zlib streams (RFC 1950) in memory: streamed or parallel reading, parallel writing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/io/deflate.h"

struct inflate_state;

namespace medseg {

/// True if `bytes` start with gzip's magic number.
bool looksLikeGzip(ByteSpan bytes);

enum class DeflateWrapper { Gzip, Zlib };

/// Reads the uncompressed bytes of a gzip file that lies in memory, from front to back, straight into the caller's
/// memory: nothing is allocated from what the file claims. Any number of members, also empty ones; zero padding behind
/// the last one is skipped. CRC and length of each member are checked when its end is reached. Files from writeGzip are
/// inflated in parallel. Throws DataError (naming `name`): damaged, truncated, wrong checksum.
class GzipReader {
  public:
    /// `file` must outlive the reader.
    /// A zlib stream is one "member" with an Adler-32 checksum; bytes behind it are ignored.
    GzipReader(ByteSpan file, std::string name, DeflateWrapper wrapper = DeflateWrapper::Gzip);
    ~GzipReader();
    GzipReader(const GzipReader&) = delete;
    GzipReader& operator=(const GzipReader&) = delete;

    /// Fills `output` as far as there are bytes; returns their number, which is smaller only at the end of the file.
    std::size_t read(std::span<std::uint8_t> output);
    /// Reads to the end so that all checksums are checked. More than `limit` further bytes are an error: the header of
    /// the content did not announce them.
    void finish(std::uint64_t limit);

  private:
    bool startMember();
    bool startZlib();
    void endZlib();
    void readIndex(ByteSpan extra);
    std::size_t readStream(std::span<std::uint8_t> output);
    std::size_t readChunks(std::span<std::uint8_t> output);
    void inflateChunksInto(std::size_t first, std::size_t last, std::uint8_t* output);
    void endMember();
    [[noreturn]] void fail(const std::string& problem) const;

    struct Chunk {
        std::uint32_t size = 0;
        std::uint32_t compressedSize = 0;
    };

    ByteSpan rest_;  // not yet consumed
    std::string name_;
    DeflateWrapper wrapper_;
    std::unique_ptr<inflate_state> state_;
    bool started_ = false;  // a member was found
    bool inMember_ = false;
    std::uint32_t crc_ = 0;      // or Adler-32
    std::uint32_t length_ = 0;   // modulo 2^32, as gzip stores it
    std::vector<Chunk> chunks_;  // of the current member; empty unless it carries an index
    std::size_t nextChunk_ = 0;
    std::vector<std::uint8_t> pending_;  // a chunk of which only the start was asked for
    std::size_t pendingUsed_ = 0;
};

/// Writes all `parts`, one after the other, as one gzip member that any reader understands, compressed in parallel. A
/// private extra field (RFC 1952, 2.3.1.1; id "mS") lists the sizes of the chunks for GzipReader. `level` as in
/// deflateChunks. The bytes do not depend on the number of threads. Give small headers a part of their own.
void writeGzip(AtomicFile& file, std::span<const ByteSpan> parts, int level);

/// The same bytes as one zlib stream. Returns its length.
std::uint64_t writeZlib(AtomicFile& file, ByteSpan bytes, int level);

}  // namespace medseg
