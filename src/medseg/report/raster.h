// Colour pictures in memory and as PNG bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// 8-bit sRGB pixels, row by row from the top left, three bytes each (red, green, blue).
struct RgbImage {
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::vector<std::uint8_t> pixels;

    RgbImage() = default;
    RgbImage(std::int64_t width, std::int64_t height, Color fill = {255, 255, 255});

    Color at(std::int64_t x, std::int64_t y) const;
    void set(std::int64_t x, std::int64_t y, Color color);
    /// Mixes `color` over the pixel: 0 leaves it, 1 replaces it.
    void blend(std::int64_t x, std::int64_t y, Color color, double alpha);
};

/// PNG bytes (RGB, 8 bit). `pixelsPerPoint` is stored as the physical resolution, 72 points an inch: a picture drawn at
/// scale 2 keeps its size on paper.
std::vector<std::uint8_t> encodePng(const RgbImage& image, double pixelsPerPoint = 1);

/// Writes atomically. Throws WorkError.
void writePng(const std::filesystem::path& path, const RgbImage& image, double pixelsPerPoint = 1);

/// Base64 with padding (RFC 4648, section 4), for data inside HTML.
std::string encodeBase64(std::span<const std::uint8_t> bytes);

}  // namespace medseg
