#include "medseg/io/png.h"

#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <png.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

constexpr png_uint_32 kMaxSide = 1 << 20;
constexpr int kFastCompression = 3;

/// libpng leaves by longjmp unless the error handler throws; throwing through its C frames is supported by how Debian
/// builds it (with unwind tables), and frees everything through destructors.
[[noreturn]] void throwError(png_structp png, png_const_charp message) {
    const auto& name = *static_cast<const std::string*>(png_get_error_ptr(png));
    throw DataError(name, fmt::format("damaged PNG: {}", message));
}
void ignoreWarning(png_structp, png_const_charp) {}

/// A PNG that lies in memory, decoded row by row.
class PngReader {
  public:
    explicit PngReader(const fs::path& path) : file_(path), name_(path.string()), rest_(file_.bytes()) {
        if (rest_.size() < 8 || png_sig_cmp(rest_.data(), 0, 8) != 0)
            throw DataError(name_, "no PNG image: the signature is missing");
        png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &name_, throwError, ignoreWarning);
        info_ = png_create_info_struct(png_);
        png_set_user_limits(png_, kMaxSide, kMaxSide);
        png_set_read_fn(png_, this, readBytes);
        try {
            png_read_info(png_, info_);
        } catch (...) {
            png_destroy_read_struct(&png_, &info_, nullptr);
            throw;
        }
    }
    ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
    PngReader(const PngReader&) = delete;
    PngReader& operator=(const PngReader&) = delete;

    png_structp png() { return png_; }
    png_infop info() { return info_; }
    const std::string& name() const { return name_; }

    /// Palette and low depths become full samples; transparency becomes a channel.
    PngInfo expand() {
        png_set_expand(png_);
        png_set_interlace_handling(png_);
        png_set_swap(png_);  // 16-bit samples in native (little-endian) order
        png_read_update_info(png_, info_);
        return facts();
    }
    PngInfo facts() const {
        return {png_get_image_width(png_, info_), png_get_image_height(png_, info_), png_get_channels(png_, info_),
                png_get_bit_depth(png_, info_)};
    }
    /// A file cannot hold many times more pixels than deflate can produce from its bytes.
    void requirePlausibleSize(std::uint64_t bytes) const {
        constexpr std::uint64_t kMaxExpansion = 1032;
        if (bytes / kMaxExpansion > file_.bytes().size())
            throw DataError(name_,
                            fmt::format("damaged PNG: its size needs {} bytes, more than the file can hold", bytes));
    }
    void readRows(std::uint8_t* pixels, std::size_t rowBytes, std::int64_t height) {
        std::vector<png_bytep> rows(static_cast<std::size_t>(height));
        for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = pixels + y * rowBytes;
        png_read_image(png_, rows.data());
        png_read_end(png_, nullptr);
    }

  private:
    static void readBytes(png_structp png, png_bytep target, std::size_t count) {
        auto& self = *static_cast<PngReader*>(png_get_io_ptr(png));
        if (count > self.rest_.size()) png_error(png, "truncated file");
        std::memcpy(target, self.rest_.data(), count);
        self.rest_ = self.rest_.subspan(count);
    }

    MappedFile file_;
    std::string name_;
    std::span<const std::uint8_t> rest_;
    png_structp png_ = nullptr;
    png_infop info_ = nullptr;
};

/// Writes rows of `bits`-bit samples.
void writeRows(const fs::path& path, std::int64_t width, std::int64_t height, int channels, int bits,
               const std::function<const std::uint8_t*(std::int64_t)>& row) {
    AtomicFile file(path);
    std::string name = path.string();
    png_structp png = png_create_write_struct(
        PNG_LIBPNG_VER_STRING, &name,
        [](png_structp p, png_const_charp message) {
            throw WorkError(*static_cast<const std::string*>(png_get_error_ptr(p)),
                            fmt::format("cannot write: {}", message));
        },
        ignoreWarning);
    png_infop info = png_create_info_struct(png);
    try {
        png_set_write_fn(
            png, &file,
            [](png_structp p, png_bytep bytes, std::size_t count) {
                static_cast<AtomicFile*>(png_get_io_ptr(p))->write(bytes, count);
            },
            nullptr);
        png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bits,
                     channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_set_compression_level(png, kFastCompression);
        png_write_info(png, info);
        if (bits == 16) png_set_swap(png);
        for (std::int64_t y = 0; y < height; ++y) png_write_row(png, row(y));
        png_write_end(png, nullptr);
    } catch (...) {
        png_destroy_write_struct(&png, &info);
        throw;
    }
    png_destroy_write_struct(&png, &info);
    file.commit();
}

template <typename T>
AnyVolume readGray(PngReader& reader, const PngInfo& facts) {
    Volume<T> volume(Geometry({facts.width, facts.height, 1}, identityAffine()));
    reader.readRows(reinterpret_cast<std::uint8_t*>(volume.data()), static_cast<std::size_t>(facts.width) * sizeof(T),
                    facts.height);
    return volume;
}

/// The gray values of a colour picture whose pixels are all gray and opaque; nothing for any other.
std::optional<AnyVolume> grayOfColours(PngReader& reader, const PngInfo& facts) {
    if (facts.bits != 8) return std::nullopt;
    const auto channels = static_cast<std::size_t>(facts.channels);
    const std::size_t pixels = static_cast<std::size_t>(facts.width * facts.height);
    reader.requirePlausibleSize(pixels * channels);
    std::vector<std::uint8_t> bytes(pixels * channels);
    reader.readRows(bytes.data(), static_cast<std::size_t>(facts.width) * channels, facts.height);
    const bool hasAlpha = channels % 2 == 0;
    Volume<std::uint8_t> volume(Geometry({facts.width, facts.height, 1}, identityAffine()));
    for (std::size_t i = 0; i < pixels; ++i) {
        const std::uint8_t* pixel = bytes.data() + i * channels;
        if (channels >= 3 && (pixel[1] != pixel[0] || pixel[2] != pixel[0])) return std::nullopt;
        if (hasAlpha && pixel[channels - 1] != 255) return std::nullopt;
        volume.data()[i] = pixel[0];
    }
    return volume;
}

}  // namespace

PngInfo readPngInfo(const fs::path& path) {
    return PngReader(path).expand();
}

AnyVolume readPng(const fs::path& path) {
    PngReader reader(path);
    const PngInfo facts = reader.expand();
    if (facts.channels != 1) {
        if (auto gray = grayOfColours(reader, facts)) return std::move(*gray);
        throw DataError(reader.name(),
                        fmt::format("is a colour PNG ({} channels, RGB or with transparency): a gray image is needed",
                                    facts.channels));
    }
    reader.requirePlausibleSize(static_cast<std::uint64_t>(facts.width * facts.height) *
                                static_cast<unsigned>(facts.bits) / 8);
    return facts.bits == 16 ? readGray<std::uint16_t>(reader, facts) : readGray<std::uint8_t>(reader, facts);
}

PngPixels readPngPixels(const fs::path& path) {
    PngReader reader(path);
    png_set_strip_16(reader.png());
    png_set_strip_alpha(reader.png());
    const PngInfo facts = reader.expand();
    PngPixels pixels{facts.width, facts.height, facts.channels, {}};
    const auto rowBytes = static_cast<std::size_t>(facts.width * facts.channels);
    reader.requirePlausibleSize(rowBytes * static_cast<std::uint64_t>(facts.height));
    pixels.bytes.resize(rowBytes * static_cast<std::size_t>(facts.height));
    reader.readRows(pixels.bytes.data(), rowBytes, facts.height);
    return pixels;
}

void writePng(const fs::path& path, const PngPixels& pixels) {
    const std::int64_t rowBytes = pixels.width * pixels.channels;
    writeRows(path, pixels.width, pixels.height, pixels.channels, 8,
              [&](std::int64_t y) { return pixels.bytes.data() + y * rowBytes; });
}
void writePng(const fs::path& path, const SliceView<const std::uint8_t>& slice) {
    writeRows(path, slice.width, slice.height, 1, 8, [&](std::int64_t y) { return slice.row(y); });
}
void writePng(const fs::path& path, const SliceView<const std::uint16_t>& slice) {
    writeRows(path, slice.width, slice.height, 1, 16,
              [&](std::int64_t y) { return reinterpret_cast<const std::uint8_t*>(slice.row(y)); });
}

}  // namespace medseg
