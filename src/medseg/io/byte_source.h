// The bytes of a file that may be gzip-compressed, front to back.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "medseg/base/files.h"
#include "medseg/io/gzip.h"

namespace medseg {

/// Decompresses when the content (not the name) says gzip. Throws DataError: missing or damaged file.
class ByteSource {
  public:
    explicit ByteSource(const fs::path& path);
    /// From byte `offset` on, in the given encoding; with Plain the content does not matter.
    enum class Encoding { Plain, Gzip, Zlib };
    ByteSource(const fs::path& path, std::uint64_t offset, Encoding encoding);

    /// Fills `output` as far as there are bytes; returns their number. Plain files are copied by all threads.
    std::size_t read(std::span<std::uint8_t> output);
    /// Skips `count` bytes; returns how many there were.
    std::uint64_t skip(std::uint64_t count);
    /// An upper limit of the bytes still to come, from the size of the file: nothing larger needs to be allocated.
    std::uint64_t atMost() const;
    /// Checks the checksums of a compressed file to its end; over `limit` further bytes are an error.
    void finish(std::uint64_t limit);

  private:
    MappedFile file_;
    std::unique_ptr<GzipReader> gzip_;
    std::uint64_t position_ = 0;  // plain files only
};

}  // namespace medseg
