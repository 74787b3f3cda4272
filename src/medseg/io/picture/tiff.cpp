#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <tiffio.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/io/picture/picture.h"
#include "medseg/io/plausible_size.h"
#include "medseg/io/raw_voxels.h"
#include "medseg/volume/voxel_types.h"

namespace medseg::picture {
namespace {

struct Closer {
    void operator()(TIFF* file) const { TIFFClose(file); }
};
using TiffFile = std::unique_ptr<TIFF, Closer>;

constexpr std::int64_t kMaxPages = 65536;

struct Page {
    std::uint32_t width = 0, height = 0;
    std::uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT, photometric = PHOTOMETRIC_MINISBLACK;

    bool operator==(const Page&) const = default;
    bool isColour() const { return samples > 1 || photometric == PHOTOMETRIC_PALETTE; }
};

TiffFile openTiff(const fs::path& path, const char* mode) {
    TIFFSetErrorHandler(nullptr);  // its messages are printed, not thrown
    TIFFSetWarningHandler(nullptr);
    return TiffFile(TIFFOpen(path.c_str(), mode));
}

Page readPage(TIFF* file, const std::string& name) {
    Page page;
    TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &page.width);
    TIFFGetField(file, TIFFTAG_IMAGELENGTH, &page.height);
    TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &page.bits);
    TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &page.samples);
    TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &page.format);
    TIFFGetField(file, TIFFTAG_PHOTOMETRIC, &page.photometric);
    constexpr std::uint32_t kMostPixels = 1u << 30;
    if (page.width == 0 || page.height == 0 || page.width > kMostPixels || page.height > kMostPixels)
        throw DataError(name, fmt::format("damaged: claims {} x {} pixels", page.width, page.height));
    return page;
}

std::string typeOf(const Page& page) {
    if (page.isColour()) return fmt::format("rgb{}", page.samples * page.bits);
    const char* kind = page.format == SAMPLEFORMAT_IEEEFP ? "float" : page.format == SAMPLEFORMAT_INT ? "int" : "uint";
    return fmt::format("{}{}", kind, page.bits);
}

struct Pages {
    TiffFile file;
    Page page;
    std::int64_t count = 0;
};

/// At the first page.
Pages openPages(const fs::path& path) {
    const std::string name = path.string();
    const MappedFile present(path);  // also reports missing and unreadable files
    Pages pages{openTiff(path, "r"), {}, 0};
    if (!pages.file) throw DataError(name, "damaged, truncated or not a TIFF file");
    pages.page = readPage(pages.file.get(), name);
    for (;;) {
        if (readPage(pages.file.get(), name) != pages.page)
            throw DataError(name, fmt::format("page {} differs from the first in size or type", pages.count + 1));
        if (++pages.count > kMaxPages) throw DataError(name, "damaged: over 65536 pages");
        if (TIFFLastDirectory(pages.file.get()) != 0) break;
        if (TIFFReadDirectory(pages.file.get()) != 1)
            throw DataError(name, fmt::format("damaged or truncated behind page {}", pages.count));
    }
    const double bytes = static_cast<double>(pages.page.width) * pages.page.height * ((pages.page.bits + 7) / 8) *
                         pages.page.samples * static_cast<double>(pages.count);
    constexpr double kMostBytes = 9e18;
    requirePlausibleSize(static_cast<std::uint64_t>(std::min(bytes, kMostBytes)), present.bytes().size(), name);
    if (TIFFSetDirectory(pages.file.get(), 0) != 1) throw DataError(name, "damaged: its first page is gone");
    return pages;
}

ImageHeader headerOf(const Pages& pages) {
    return pictureHeader("TIFF", {pages.page.width, pages.page.height, pages.count}, typeOf(pages.page));
}

/// Tiles reach beyond the right and lower edge.
bool readTiles(TIFF* file, const Page& page, std::size_t pixelBytes, std::uint8_t* output) {
    std::uint32_t width = 0, height = 0;
    TIFFGetField(file, TIFFTAG_TILEWIDTH, &width);
    TIFFGetField(file, TIFFTAG_TILELENGTH, &height);
    const tmsize_t size = TIFFTileSize(file);
    constexpr tmsize_t kMostBytes = tmsize_t{1} << 28;
    if (width == 0 || height == 0 || size <= 0 || size > kMostBytes ||
        static_cast<std::uint64_t>(size) != std::uint64_t{width} * height * pixelBytes)
        return false;
    std::vector<std::uint8_t> tile(static_cast<std::size_t>(size));
    for (std::uint64_t y = 0; y < page.height; y += height)
        for (std::uint64_t x = 0; x < page.width; x += width) {
            if (TIFFReadTile(file, tile.data(), static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), 0, 0) < 0)
                return false;
            const std::size_t columns = std::min<std::uint64_t>(width, page.width - x);
            const std::size_t rows = std::min<std::uint64_t>(height, page.height - y);
            for (std::size_t row = 0; row < rows; ++row)
                std::memcpy(output + ((y + row) * page.width + x) * pixelBytes, tile.data() + row * width * pixelBytes,
                            columns * pixelBytes);
        }
    return true;
}

bool readRows(TIFF* file, const Page& page, std::size_t pixelBytes, std::uint8_t* output) {
    const std::size_t rowBytes = page.width * pixelBytes;
    if (TIFFScanlineSize(file) != static_cast<tmsize_t>(rowBytes)) return false;
    for (std::uint32_t y = 0; y < page.height; ++y)
        if (TIFFReadScanline(file, output + y * rowBytes, y, 0) < 0) return false;
    return true;
}

template <typename T>
Volume<T> readPages(const Pages& pages, const Geometry& geometry, const std::string& name) {
    Volume<T> volume(geometry);
    TIFF* file = pages.file.get();
    for (std::int64_t k = 0; k < pages.count; ++k) {
        throwIfInterrupted();
        auto* output = reinterpret_cast<std::uint8_t*>(volume.slice(k).data);
        const bool read = (k == 0 || TIFFReadDirectory(file) == 1) &&
                          (TIFFIsTiled(file) != 0 ? readTiles(file, pages.page, sizeof(T), output)
                                                  : readRows(file, pages.page, sizeof(T), output));
        if (!read) throw DataError(name, fmt::format("the pixels of page {} are damaged or truncated", k + 1));
    }
    return volume;
}

bool writePage(TIFF* file, const AnyVolume& volume, std::int64_t slice) {
    const Geometry& geometry = geometryOf(volume);
    const std::string_view type = kVoxelTypeNames[volume.index()];
    const std::size_t pixelBytes = voxelTypeSize(type), rowBytes = static_cast<std::size_t>(geometry.nx()) * pixelBytes;
    const int format = type.starts_with("float") ? SAMPLEFORMAT_IEEEFP
                       : type.starts_with("int") ? SAMPLEFORMAT_INT
                                                 : SAMPLEFORMAT_UINT;
    TIFFSetField(file, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(geometry.nx()));
    TIFFSetField(file, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(geometry.ny()));
    TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, static_cast<int>(pixelBytes * 8));
    TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(file, TIFFTAG_SAMPLEFORMAT, format);
    TIFFSetField(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(file, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField(file, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(file, 0));
    const ByteSpan voxels = voxelBytes(volume);
    const std::size_t first = static_cast<std::size_t>(slice * geometry.ny()) * rowBytes;
    std::vector<std::uint8_t> row(rowBytes);  // libtiff may change what it writes
    for (std::int64_t y = 0; y < geometry.ny(); ++y) {
        std::memcpy(row.data(), voxels.data() + first + static_cast<std::size_t>(y) * rowBytes, rowBytes);
        if (TIFFWriteScanline(file, row.data(), static_cast<std::uint32_t>(y), 0) < 0) return false;
    }
    return TIFFWriteDirectory(file) == 1;
}

}  // namespace

ImageHeader pictureHeader(const std::string& format, const Index3& size, const std::string& type) {
    ImageHeader header;
    header.format = format;
    header.geometry = Geometry(size, identityAffine());
    header.shape = {size[0], size[1]};
    if (size[2] > 1) header.shape.push_back(size[2]);
    header.storedType = type;
    return header;
}

ImageHeader tiffHeader(const fs::path& path) {
    return headerOf(openPages(path));
}

StoredImage readTiff(const fs::path& path) {
    const std::string name = path.string();
    const Pages pages = openPages(path);
    ImageHeader header = headerOf(pages);
    if (pages.page.isColour())
        throw DataError(name, "holds RGB colours, not intensities or labels: convert it to gray first");
    auto voxels = withVoxelType(header.storedType,
                                [&]<typename T>(const T&) { return readPages<T>(pages, header.geometry, name); });
    if (!voxels) throw DataError(name, fmt::format("pixels of {} bits are not supported", pages.page.bits));
    return {std::move(header), std::move(*voxels)};
}

PngPixels tiffPixels(const fs::path& path) {
    const Pages pages = openPages(path);
    const std::size_t count = std::size_t{pages.page.width} * pages.page.height;
    std::vector<std::uint32_t> packed(count);
    if (TIFFReadRGBAImageOriented(pages.file.get(), pages.page.width, pages.page.height, packed.data(),
                                  ORIENTATION_TOPLEFT, 1) != 1)
        throw DataError(path.string(), fmt::format("its pixels of {} bits are damaged or cannot be shown as colours",
                                                   pages.page.bits));
    PngPixels pixels{pages.page.width, pages.page.height, 3, std::vector<std::uint8_t>(3 * count)};
    std::uint8_t* out = pixels.bytes.data();
    for (const std::uint32_t value : packed) {
        *out++ = static_cast<std::uint8_t>(TIFFGetR(value));
        *out++ = static_cast<std::uint8_t>(TIFFGetG(value));
        *out++ = static_cast<std::uint8_t>(TIFFGetB(value));
    }
    return pixels;
}

void writeTiff(const fs::path& path, const AnyVolume& volume) {
    AtomicFile target(path);
    constexpr std::size_t kClassicLimit = std::size_t{1} << 31;
    TiffFile file = openTiff(target.temporaryPath(), voxelBytes(volume).size() > kClassicLimit ? "w8" : "w");
    bool written = file != nullptr;
    for (std::int64_t k = 0; written && k < geometryOf(volume).nz(); ++k) {
        throwIfInterrupted();
        written = writePage(file.get(), volume, k);
    }
    file.reset();
    if (!written) throw WorkError(path.string(), "cannot be written: is the disk full?");
    target.commit();
}

}  // namespace medseg::picture
