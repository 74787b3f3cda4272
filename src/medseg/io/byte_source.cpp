#include "medseg/io/byte_source.h"

#include <algorithm>

#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr std::uint64_t kMaxExpansion = 1032;  // of deflate
constexpr std::int64_t kCopyGrain = 1 << 22;
constexpr std::size_t kSkipSize = std::size_t{1} << 20;

}  // namespace

ByteSource::ByteSource(const fs::path& path) : file_(path) {
    if (looksLikeGzip(file_.bytes())) gzip_ = std::make_unique<GzipReader>(file_.bytes(), path.string());
}

ByteSource::ByteSource(const fs::path& path, std::uint64_t offset, Encoding encoding) : file_(path) {
    position_ = std::min<std::uint64_t>(offset, file_.bytes().size());
    if (encoding == Encoding::Plain) return;
    const auto wrapper = encoding == Encoding::Gzip ? DeflateWrapper::Gzip : DeflateWrapper::Zlib;
    gzip_ = std::make_unique<GzipReader>(file_.bytes().subspan(position_), path.string(), wrapper);
}

std::size_t ByteSource::read(std::span<std::uint8_t> output) {
    if (gzip_) return gzip_->read(output);
    const ByteSpan rest = file_.bytes().subspan(position_);
    const std::size_t count = std::min(output.size(), rest.size());
    parallelFor(0, static_cast<std::int64_t>(count), kCopyGrain, [&](std::int64_t first, std::int64_t last) {
        std::copy(rest.begin() + first, rest.begin() + last, output.begin() + first);
    });
    position_ += count;
    return count;
}

std::uint64_t ByteSource::skip(std::uint64_t count) {
    if (!gzip_) {
        const std::uint64_t skipped = std::min<std::uint64_t>(count, file_.bytes().size() - position_);
        position_ += skipped;
        return skipped;
    }
    std::vector<std::uint8_t> scratch(std::min<std::uint64_t>(count, kSkipSize));
    std::uint64_t skipped = 0;
    while (skipped < count) {
        const std::size_t wanted = std::min<std::uint64_t>(scratch.size(), count - skipped);
        const std::size_t got = gzip_->read(std::span(scratch).first(wanted));
        skipped += got;
        if (got < wanted) break;
    }
    return skipped;
}

std::uint64_t ByteSource::atMost() const {
    return gzip_ ? file_.bytes().size() * kMaxExpansion : file_.bytes().size() - position_;
}

void ByteSource::finish(std::uint64_t limit) {
    if (gzip_) gzip_->finish(limit);
}

}  // namespace medseg
