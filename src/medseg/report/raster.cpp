#include "medseg/report/raster.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <string_view>

#include <libdeflate.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

constexpr int kChannels = 3;
constexpr int kCompressionLevel = 5;
constexpr double kPointsPerMetre = 72 / 0.0254;

void appendBigEndian(std::vector<std::uint8_t>& out, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

void appendChunk(std::vector<std::uint8_t>& out, std::string_view type, std::span<const std::uint8_t> data) {
    appendBigEndian(out, static_cast<std::uint32_t>(data.size()));
    const std::size_t start = out.size();
    out.insert(out.end(), type.begin(), type.end());
    out.insert(out.end(), data.begin(), data.end());
    appendBigEndian(out, libdeflate_crc32(0, out.data() + start, out.size() - start));
}

/// The PNG filter types used here.
enum Filter : std::uint8_t { kNone = 0, kSub = 1, kUp = 2 };

void filterRow(Filter filter, const std::uint8_t* row, const std::uint8_t* above, std::size_t length,
               std::uint8_t* out) {
    *out++ = filter;
    if (filter == kNone) {
        std::memcpy(out, row, length);
    } else if (filter == kUp) {
        for (std::size_t i = 0; i < length; ++i) out[i] = static_cast<std::uint8_t>(row[i] - above[i]);
    } else {
        std::memcpy(out, row, kChannels);
        for (std::size_t i = kChannels; i < length; ++i)
            out[i] = static_cast<std::uint8_t>(row[i] - row[i - kChannels]);
    }
}

/// How far a filtered row is from all zeros, as PNG's specification suggests for choosing between filters.
std::uint32_t rowCost(const std::uint8_t* filtered, std::size_t length) {
    std::uint32_t cost = 0;
    for (std::size_t i = 1; i <= length; ++i)
        cost += std::min<std::uint8_t>(filtered[i], static_cast<std::uint8_t>(-filtered[i]));
    return cost;
}

std::vector<std::uint8_t> filterImage(const RgbImage& image) {
    const std::size_t length = static_cast<std::size_t>(image.width) * kChannels;
    std::vector<std::uint8_t> out((length + 1) * static_cast<std::size_t>(image.height));
    std::vector<std::uint8_t> candidate(length + 1);
    const std::vector<std::uint8_t> blank(length, 0);
    for (std::int64_t y = 0; y < image.height; ++y) {
        const std::uint8_t* row = image.pixels.data() + length * static_cast<std::size_t>(y);
        const std::uint8_t* above = y > 0 ? row - length : blank.data();
        std::uint8_t* best = out.data() + (length + 1) * static_cast<std::size_t>(y);
        if (std::memcmp(row, above, length) == 0) {  // most rows of a drawing repeat; `out` is already zero
            best[0] = kUp;
            continue;
        }
        filterRow(kUp, row, above, length, best);
        std::uint32_t bestCost = rowCost(best, length);
        for (const Filter filter : {kSub, kNone}) {
            filterRow(filter, row, above, length, candidate.data());
            const std::uint32_t cost = rowCost(candidate.data(), length);
            if (cost >= bestCost) continue;
            bestCost = cost;
            std::memcpy(best, candidate.data(), length + 1);
        }
    }
    return out;
}

std::vector<std::uint8_t> deflateBytes(std::span<const std::uint8_t> bytes) {
    const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
        libdeflate_alloc_compressor(kCompressionLevel), &libdeflate_free_compressor);
    if (!compressor) throw std::bad_alloc();
    std::vector<std::uint8_t> out(libdeflate_zlib_compress_bound(compressor.get(), bytes.size()));
    out.resize(libdeflate_zlib_compress(compressor.get(), bytes.data(), bytes.size(), out.data(), out.size()));
    return out;
}

}  // namespace

RgbImage::RgbImage(std::int64_t width, std::int64_t height, Color fill)
    : width(width), height(height), pixels(static_cast<std::size_t>(width * height) * kChannels, fill[0]) {
    if (fill[1] == fill[0] && fill[2] == fill[0]) return;
    for (std::size_t i = 0; i < pixels.size(); i += kChannels) std::memcpy(pixels.data() + i, fill.data(), kChannels);
}

Color RgbImage::at(std::int64_t x, std::int64_t y) const {
    const std::uint8_t* pixel = pixels.data() + static_cast<std::size_t>(x + width * y) * kChannels;
    return {pixel[0], pixel[1], pixel[2]};
}

void RgbImage::set(std::int64_t x, std::int64_t y, Color color) {
    std::memcpy(pixels.data() + static_cast<std::size_t>(x + width * y) * kChannels, color.data(), kChannels);
}

void RgbImage::blend(std::int64_t x, std::int64_t y, Color color, double alpha) {
    std::uint8_t* pixel = pixels.data() + static_cast<std::size_t>(x + width * y) * kChannels;
    for (int channel = 0; channel < kChannels; ++channel)
        pixel[channel] =
            static_cast<std::uint8_t>(std::lround(pixel[channel] + alpha * (color[channel] - pixel[channel])));
}

std::vector<std::uint8_t> encodePng(const RgbImage& image, double pixelsPerPoint) {
    if (image.width < 1 || image.height < 1) throw WorkError("a picture without pixels cannot be written as PNG");
    std::vector<std::uint8_t> out{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    std::vector<std::uint8_t> header;
    appendBigEndian(header, static_cast<std::uint32_t>(image.width));
    appendBigEndian(header, static_cast<std::uint32_t>(image.height));
    // 8 bits, colour type RGB, deflate, adaptive filters, not interlaced.
    for (const std::uint8_t value : std::array<std::uint8_t, 5>{8, 2, 0, 0, 0}) header.push_back(value);
    appendChunk(out, "IHDR", header);
    std::vector<std::uint8_t> resolution;
    const auto pixelsPerMetre = static_cast<std::uint32_t>(std::lround(pixelsPerPoint * kPointsPerMetre));
    appendBigEndian(resolution, pixelsPerMetre);
    appendBigEndian(resolution, pixelsPerMetre);
    resolution.push_back(1);  // the unit is the metre
    appendChunk(out, "pHYs", resolution);
    appendChunk(out, "IDAT", deflateBytes(filterImage(image)));
    appendChunk(out, "IEND", {});
    return out;
}

void writePng(const std::filesystem::path& path, const RgbImage& image, double pixelsPerPoint) {
    const std::vector<std::uint8_t> bytes = encodePng(image, pixelsPerPoint);
    AtomicFile file(path);
    file.write(bytes.data(), bytes.size());
    file.commit();
}

std::string encodeBase64(std::span<const std::uint8_t> bytes) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? bytes[i + k] : 0u);
        for (std::size_t k = 0; k < 4; ++k) text.push_back(k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=');
    }
    return text;
}

}  // namespace medseg
