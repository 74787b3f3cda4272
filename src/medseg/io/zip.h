// Zip archives (npz, PyTorch checkpoints): APPNOTE 6.3, stored and deflated entries, zip64. No encryption, no
// multi-disk archives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/io/deflate.h"

namespace medseg {

struct ZipEntry {
    std::string name;        ///< as in the archive, '/' between folders
    std::uint64_t size = 0;  ///< uncompressed bytes, as the archive claims
    std::uint64_t compressedSize = 0;
    std::uint64_t dataOffset = 0;  ///< first byte of the (compressed) data; inside the file together with its size
    std::uint32_t crc = 0;
    bool deflated = false;  ///< else stored
};

/// Reads an archive that lies mapped in memory. The constructor checks the directory: every entry's data lies inside
/// the file, and no deflated entry claims more bytes than deflate can produce. All functions throw DataError naming
/// file and entry.
class ZipReader {
  public:
    explicit ZipReader(const fs::path& path);

    const fs::path& path() const { return file_->path(); }
    /// In the order of the central directory.
    const std::vector<ZipEntry>& entries() const { return entries_; }
    /// nullptr when missing; the last one of several with the same name.
    const ZipEntry* find(std::string_view name) const;
    /// Like find, but throws when missing.
    const ZipEntry& at(std::string_view name) const;

    /// Uncompressed bytes, CRC checked.
    std::vector<std::uint8_t> read(const ZipEntry& entry) const;
    /// Into memory of exactly entry.size bytes, CRC checked.
    void readInto(const ZipEntry& entry, std::span<std::uint8_t> output) const;
    /// The first min(count, size) uncompressed bytes, without CRC check: for headers.
    std::vector<std::uint8_t> readStart(const ZipEntry& entry, std::size_t count) const;
    /// A stored entry's bytes inside the mapping, without a copy; valid as long as the reader. CRC not checked.
    ByteSpan storedBytes(const ZipEntry& entry) const;
    /// The (compressed) bytes as they lie in the file.
    ByteSpan rawBytes(const ZipEntry& entry) const;

    /// True if `bytes` start like a zip archive.
    static bool looksLikeZip(ByteSpan bytes);

  private:
    void readDirectory();
    void addEntry(ByteSpan header);
    [[noreturn]] void fail(const std::string& problem) const;
    [[noreturn]] void fail(const ZipEntry& entry, const std::string& problem) const;

    std::unique_ptr<MappedFile> file_;  // stable address: spans into it survive a move of the reader
    std::vector<ZipEntry> entries_;
    std::map<std::string, std::size_t, std::less<>> byName_;
};

/// Writes an archive entry by entry; it appears under its name on commit(). Throws WorkError when writing fails.
class ZipWriter {
  public:
    explicit ZipWriter(const fs::path& path);

    struct EntryOptions {
        int level = 0;                ///< 0 = stored; 1..12 = deflated (in parallel)
        std::uint32_t alignment = 1;  ///< data start at a multiple of it (PyTorch: 64), at most 4096
    };
    /// A whole entry at once, given in one or more consecutive parts. A part that is the memory of an earlier one
    /// (equal channels) is compressed once.
    void addParts(const std::string& name, std::span<const ByteSpan> parts, const EntryOptions& options);
    void add(const std::string& name, ByteSpan bytes, const EntryOptions& options) {
        addParts(name, {&bytes, 1}, options);
    }
    void add(const std::string& name, ByteSpan bytes) { add(name, bytes, EntryOptions{}); }

    /// A stored entry in pieces: begin, append as often as needed, end. `size` must be the exact sum of the pieces.
    void begin(const std::string& name, std::uint64_t size, std::uint32_t alignment = 1);
    void append(ByteSpan bytes);
    void end();

    /// Writes the directory and renames into place.
    void commit();

  private:
    struct WrittenEntry {
        ZipEntry entry;
        std::uint64_t headerOffset = 0;
        bool zip64 = false;
    };
    void writeLocalHeader(WrittenEntry& written, std::uint32_t alignment);
    void patchLocalHeader(const WrittenEntry& written);
    void writeCentralHeader(const WrittenEntry& written);
    /// Returns the CRC-32 of all parts.
    std::uint32_t writeRepeatedParts(std::span<const ByteSpan> parts, int level);

    AtomicFile file_;
    std::vector<WrittenEntry> written_;
    std::uint64_t remaining_ = 0;  // bytes still to come in the entry that is open
    bool open_ = false;
};

}  // namespace medseg
