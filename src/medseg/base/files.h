// Reading whole files, mapping them, and writing them so that a reader never sees half a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace medseg {

namespace fs = std::filesystem;

/// A file opened for reading and mapped into memory; unmapped by the destructor. Throws DataError when the file is
/// missing, is a directory or cannot be read.
class MappedFile {
  public:
    explicit MappedFile(const fs::path& path);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
    const std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Writes to a hidden temporary name beside `path` and renames on commit(). Without commit() the temporary file is
/// removed by the destructor, so neither an exception nor Ctrl-C leaves a partial output.
/// All members throw WorkError with the system's reason (full disk, no permission).
class AtomicFile {
  public:
    explicit AtomicFile(const fs::path& path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(const void* data, std::size_t size);
    void write(std::string_view text) { write(text.data(), text.size()); }
    /// Overwrites bytes already written, e.g. a size field that is known only at the end.
    void writeAt(std::uint64_t offset, const void* data, std::size_t size);
    std::uint64_t position() const { return position_; }
    /// The name that exists until commit(), for libraries that insist on writing to a path themselves.
    const fs::path& temporaryPath() const { return temporary_; }
    /// Flushes, closes and renames; the file appears under its final name with all of its bytes.
    void commit();

  private:
    [[noreturn]] void fail(const char* action) const;

    fs::path path_;
    fs::path temporary_;
    int descriptor_ = -1;
    std::uint64_t position_ = 0;
};

/// Whole file as text. Throws DataError if missing or larger than `limit` bytes.
std::string readTextFile(const fs::path& path, std::size_t limit = std::size_t{64} << 20);

/// Atomically replaces `path` by `text`.
void writeTextFile(const fs::path& path, std::string_view text);

/// Creates `directory` and its parents. Throws WorkError with the reason when that is impossible, also when a file of
/// that name is in the way.
void createDirectories(const fs::path& directory);

/// Directory of the running executable (for assets and libmedseg_nn).
fs::path executableDirectory();

/// True if `name` ends with `suffix`, ignoring ASCII case (".NII.GZ").
bool endsWithIgnoringCase(std::string_view name, std::string_view suffix);

}  // namespace medseg
