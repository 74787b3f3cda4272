#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
// After <cstdio>, whose FILE it uses.
#include <jpeglib.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/deflate.h"
#include "medseg/io/picture/picture.h"
#include "medseg/io/plausible_size.h"

namespace medseg::picture {
namespace {

constexpr int kQuality = 95;

/// libjpeg leaves by way of longjmp: the functions that it leaves hold nothing that needs a destructor.
struct ErrorManager {
    jpeg_error_mgr base;
    std::jmp_buf leave;
    char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void onError(j_common_ptr info) {
    auto* manager = reinterpret_cast<ErrorManager*>(info->err);
    manager->base.format_message(info, manager->message);
    std::longjmp(manager->leave, 1);
}

/// Warnings (a file that ends early) are kept: libjpeg would go on with gray.
void onMessage(j_common_ptr info, int level) {
    auto* manager = reinterpret_cast<ErrorManager*>(info->err);
    if (level >= 0) return;
    ++manager->base.num_warnings;
    manager->base.format_message(info, manager->message);
}

void setUp(ErrorManager& manager) {
    jpeg_std_error(&manager.base);
    manager.base.error_exit = onError;
    manager.base.emit_message = onMessage;
}

struct Size {
    unsigned width = 0, height = 0;
    int components = 0;
};

bool readSize(ByteSpan bytes, ErrorManager& manager, Size& size) {
    jpeg_decompress_struct info{};
    info.err = &manager.base;
    if (setjmp(manager.leave) != 0) {
        jpeg_destroy_decompress(&info);
        return false;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    size = {info.image_width, info.image_height, info.num_components};
    jpeg_destroy_decompress(&info);
    return true;
}

bool readPixels(ByteSpan bytes, ErrorManager& manager, const Size& size, int channels, std::uint8_t* pixels) {
    jpeg_decompress_struct info{};
    info.err = &manager.base;
    if (setjmp(manager.leave) != 0) {
        jpeg_destroy_decompress(&info);
        return false;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    info.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info);
    if (info.output_width != size.width || info.output_height != size.height || info.output_components != channels) {
        jpeg_destroy_decompress(&info);
        return false;
    }
    while (info.output_scanline < info.output_height) {
        JSAMPROW row = pixels + std::size_t{info.output_scanline} * size.width * static_cast<std::size_t>(channels);
        jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return manager.base.num_warnings == 0;
}

/// The compressed bytes are allocated by libjpeg with malloc.
bool compress(const Volume<std::uint8_t>& volume, ErrorManager& manager, unsigned char** output,
              unsigned long* length) {
    jpeg_compress_struct info{};
    info.err = &manager.base;
    if (setjmp(manager.leave) != 0) {
        jpeg_destroy_compress(&info);
        return false;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, output, length);
    info.image_width = static_cast<JDIMENSION>(volume.nx());
    info.image_height = static_cast<JDIMENSION>(volume.ny());
    info.input_components = 1;
    info.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, kQuality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = const_cast<JSAMPROW>(volume.data() + std::int64_t{info.next_scanline} * volume.nx());
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return true;
}

[[noreturn]] void refuse(const fs::path& path, const ErrorManager& manager) {
    throw DataError(path.string(), fmt::format("damaged, truncated or not a JPEG file ({})",
                                               manager.message[0] != '\0' ? manager.message : "odd size"));
}

Size checkedSize(const MappedFile& file, const fs::path& path) {
    ErrorManager manager;
    setUp(manager);
    Size size;
    if (!readSize(file.bytes(), manager, size)) refuse(path, manager);
    requirePlausibleSize(std::uint64_t{size.width} * size.height, file.bytes().size(), path.string());
    return size;
}

ImageHeader headerOf(const Size& size) {
    return pictureHeader("JPEG", {size.width, size.height, 1},
                         size.components == 1 ? "uint8" : fmt::format("rgb{}", 8 * size.components));
}

}  // namespace

ImageHeader jpegHeader(const fs::path& path) {
    const MappedFile file(path);
    return headerOf(checkedSize(file, path));
}

StoredImage readJpeg(const fs::path& path) {
    const MappedFile file(path);
    const Size size = checkedSize(file, path);
    ImageHeader header = headerOf(size);
    if (size.components != 1)
        throw DataError(path.string(), "holds RGB colours, not intensities or labels: convert it to gray first");
    Volume<std::uint8_t> volume(header.geometry);
    ErrorManager manager;
    setUp(manager);
    if (!readPixels(file.bytes(), manager, size, 1, volume.data())) refuse(path, manager);
    return {std::move(header), std::move(volume)};
}

PngPixels jpegPixels(const fs::path& path) {
    const MappedFile file(path);
    const Size size = checkedSize(file, path);
    PngPixels pixels;
    pixels.width = size.width;
    pixels.height = size.height;
    pixels.channels = size.components == 1 ? 1 : 3;
    pixels.bytes.resize(static_cast<std::size_t>(pixels.width * pixels.height * pixels.channels));
    ErrorManager manager;
    setUp(manager);
    if (!readPixels(file.bytes(), manager, size, pixels.channels, pixels.bytes.data())) refuse(path, manager);
    return pixels;
}

void writeJpeg(const fs::path& path, const AnyVolume& any) {
    const auto* volume = std::get_if<Volume<std::uint8_t>>(&any);
    if (volume == nullptr || volume->nz() != 1)
        throw UsageError(fmt::format("{}: a JPEG holds one slice of uint8 voxels, the volume has size {} of {}",
                                     path.string(), formatSize(geometryOf(any).size()), voxelTypeName(any)));
    if (volume->nx() > JPEG_MAX_DIMENSION || volume->ny() > JPEG_MAX_DIMENSION)
        throw UsageError(fmt::format("{}: {} is too large for a JPEG", path.string(), formatSize(volume->size())));
    ErrorManager manager;
    setUp(manager);
    unsigned char* bytes = nullptr;
    unsigned long length = 0;
    const bool done = compress(*volume, manager, &bytes, &length);
    const std::unique_ptr<unsigned char, void (*)(void*)> owner(bytes, std::free);
    if (!done) throw WorkError(path.string(), manager.message);
    AtomicFile file(path);
    file.write(bytes, length);
    file.commit();
}

}  // namespace medseg::picture
