#include "medseg/base/files.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

MappedFile::MappedFile(const fs::path& path) : path_(path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        if (errno == ENOENT) throw DataError(path.string(), "no such file: check the path");
        throw DataError(path.string(), fmt::format("cannot open: {}", std::strerror(errno)));
    }
    struct stat info {};
    if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(descriptor);
        throw DataError(path.string(), S_ISDIR(info.st_mode) ? "is a directory, a file is needed" : "is not a regular file");
    }
    size_ = static_cast<std::size_t>(info.st_size);
    if (size_ > 0) {
        void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (mapped == MAP_FAILED) {
            ::close(descriptor);
            throw DataError(path.string(), fmt::format("cannot map into memory: {}", std::strerror(errno)));
        }
        data_ = static_cast<const std::uint8_t*>(mapped);
    }
    ::close(descriptor);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, std::size_t{0})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
    static std::atomic<unsigned> counter{0};
    const fs::path parent = path.parent_path();
    if (!parent.empty()) createDirectories(parent);
    if (fs::is_directory(path)) throw WorkError(path.string(), "is a directory, cannot be written as a file");
    temporary_ = parent / fmt::format(".{}.{}-{}.tmp", path.filename().string(), ::getpid(), counter++);
    descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail("create");
}

AtomicFile::~AtomicFile() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
        ::unlink(temporary_.c_str());
    }
}

void AtomicFile::fail(const char* action) const {
    throw WorkError(path_.string(), fmt::format("cannot {}: {}", action, std::strerror(errno)));
}

void AtomicFile::write(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t written = ::write(descriptor_, bytes, std::min<std::size_t>(size, std::size_t{1} << 30));
        if (written < 0) {
            if (errno == EINTR) continue;
            fail("write");
        }
        bytes += written;
        size -= static_cast<std::size_t>(written);
        position_ += static_cast<std::uint64_t>(written);
    }
}

void AtomicFile::writeAt(std::uint64_t offset, const void* data, std::size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t written = ::pwrite(descriptor_, bytes, size, static_cast<off_t>(offset));
        if (written < 0) {
            if (errno == EINTR) continue;
            fail("write");
        }
        bytes += written;
        offset += static_cast<std::uint64_t>(written);
        size -= static_cast<std::size_t>(written);
    }
}

void AtomicFile::commit() {
    const int descriptor = std::exchange(descriptor_, -1);
    if (::close(descriptor) != 0) {
        ::unlink(temporary_.c_str());
        fail("write");
    }
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
        ::unlink(temporary_.c_str());
        fail("rename into place");
    }
}

std::string readTextFile(const fs::path& path, std::size_t limit) {
    const MappedFile file(path);
    const auto bytes = file.bytes();
    if (bytes.size() > limit)
        throw DataError(path.string(), fmt::format("too large: {} bytes, at most {} expected", bytes.size(), limit));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void writeTextFile(const fs::path& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

void createDirectories(const fs::path& directory) {
    std::error_code code;
    fs::create_directories(directory, code);
    if (code) throw WorkError(directory.string(), "cannot create the folder: " + code.message());
    if (!fs::is_directory(directory)) throw WorkError(directory.string(), "cannot create the folder: a file is in the way");
}

fs::path executableDirectory() { return fs::read_symlink("/proc/self/exe").parent_path(); }

bool endsWithIgnoringCase(std::string_view name, std::string_view suffix) {
    if (name.size() < suffix.size()) return false;
    const std::string_view tail = name.substr(name.size() - suffix.size());
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    for (std::size_t i = 0; i < suffix.size(); ++i)
        if (lower(tail[i]) != lower(suffix[i])) return false;
    return true;
}

}  // namespace medseg
