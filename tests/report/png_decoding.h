// Decodes PNG with libpng, which the code under test does not use.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <vector>

#include <png.h>

#include "medseg/report/raster.h"

namespace medseg {

inline RgbImage finishDecoding(png_image& info) {
    info.format = PNG_FORMAT_RGB;
    RgbImage image(info.width, info.height);
    if (png_image_finish_read(&info, nullptr, image.pixels.data(), 0, nullptr) == 0)
        throw std::runtime_error(info.message);
    return image;
}

inline RgbImage decodePng(const std::vector<std::uint8_t>& bytes) {
    png_image info{};
    info.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&info, bytes.data(), bytes.size()) == 0)
        throw std::runtime_error(info.message);
    return finishDecoding(info);
}

inline RgbImage decodePngFile(const std::filesystem::path& path) {
    png_image info{};
    info.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_file(&info, path.c_str()) == 0) throw std::runtime_error(info.message);
    return finishDecoding(info);
}

/// A folder of its own for each test, removed at the end.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "medseg_report_XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        path_ = pattern;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace medseg
