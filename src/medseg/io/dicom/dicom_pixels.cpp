#include "medseg/io/dicom/dicom_pixels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/io/dicom/compressed_pixels.h"
#include "medseg/io/plausible_size.h"
#include "medseg/volume/voxel_types.h"

namespace medseg::dicom {
namespace {

constexpr Tag kPixelData = 0x7fe00010;

struct Range {
    double low = 0, high = 0;
};

Range storedRange(const PixelLayout& pixels) {
    const int bits = std::min(pixels.bitsStored, 32);
    if (pixels.isSigned) return {-std::ldexp(1.0, bits - 1), std::ldexp(1.0, bits - 1) - 1};
    return {0, std::ldexp(1.0, bits) - 1};
}

std::string storedTypeName(const PixelLayout& pixels) {
    const int bits = pixels.bitsAllocated <= 8 ? 8 : pixels.bitsAllocated <= 16 ? 16 : 32;
    return fmt::format("{}int{}", pixels.isSigned ? "" : "u", bits);
}

template <typename T>
bool holds(const Range& range) {
    return range.low >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
           range.high <= static_cast<double>(std::numeric_limits<T>::max());
}

bool isWhole(double value) {
    return value == std::floor(value);
}

/// Pixels of type In to voxels of type T.
template <typename In, typename T>
bool convertPixels(const In* pixels, std::size_t count, double slope, double inter, T* voxels) {
    bool fits = true;
    for (std::size_t i = 0; i < count; ++i) {
        const double value = static_cast<double>(pixels[i]) * slope + inter;
        if constexpr (std::is_integral_v<T>) {
            fits &= value >= static_cast<double>(std::numeric_limits<T>::min()) &&
                    value <= static_cast<double>(std::numeric_limits<T>::max());
            voxels[i] = static_cast<T>(static_cast<std::int64_t>(std::clamp(value, -9e15, 9e15)));
        } else {
            voxels[i] = static_cast<T>(value);
        }
    }
    return fits;
}

/// Pixels in native byte order, in their document or decoded.
struct PixelBytes {
    ByteSpan bytes;
    int bits = 16;
    bool isSigned = false;
};

template <typename In, typename T>
void scatter(ByteSpan bytes, const DicomFile& file, bool applied, const std::vector<T*>& targets) {
    const std::size_t count =
        static_cast<std::size_t>(file.pixels.rows) * static_cast<std::size_t>(file.pixels.columns);
    if (bytes.size() < count * file.frames.size() * sizeof(In))
        throw DataError(
            file.path.string(),
            fmt::format("truncated: {} x {} pixels in {} frames need {} bytes, {} are there", file.pixels.columns,
                        file.pixels.rows, file.pixels.frames, count * file.frames.size() * sizeof(In), bytes.size()));
    std::vector<In> pixels(count);  // the document may be unaligned
    for (std::size_t f = 0; f < targets.size(); ++f) {
        if (targets[f] == nullptr) continue;
        std::memcpy(pixels.data(), bytes.data() + f * count * sizeof(In), count * sizeof(In));
        const Frame& frame = file.frames[f];
        const double slope = applied ? frame.slope : 1, inter = applied ? frame.inter : 0;
        if (!convertPixels(pixels.data(), count, slope, inter, targets[f]))
            throw DataError(file.path.string(),
                            fmt::format("holds pixels beyond its {} bits: damaged, or its BitsStored "
                                        "is wrong",
                                        file.pixels.bitsStored));
    }
}

template <typename T>
void scatterAny(const PixelBytes& pixels, const DicomFile& file, bool applied, const std::vector<T*>& targets) {
    if (pixels.bits == 8)
        return pixels.isSigned ? scatter<std::int8_t>(pixels.bytes, file, applied, targets)
                               : scatter<std::uint8_t>(pixels.bytes, file, applied, targets);
    if (pixels.bits == 16)
        return pixels.isSigned ? scatter<std::int16_t>(pixels.bytes, file, applied, targets)
                               : scatter<std::uint16_t>(pixels.bytes, file, applied, targets);
    return pixels.isSigned ? scatter<std::int32_t>(pixels.bytes, file, applied, targets)
                           : scatter<std::uint32_t>(pixels.bytes, file, applied, targets);
}

std::vector<std::uint8_t> swapped(ByteSpan bytes, std::size_t size) {
    std::vector<std::uint8_t> result(bytes.begin(), bytes.end());
    for (std::size_t i = 0; i + size <= result.size(); i += size)
        std::reverse(result.begin() + static_cast<std::ptrdiff_t>(i),
                     result.begin() + static_cast<std::ptrdiff_t>(i + size));
    return result;
}

}  // namespace

PixelScaling chooseScaling(const PixelLayout& pixels, const std::vector<Frame>& frames) {
    const Frame& first = frames.front();
    const bool uniform = std::all_of(frames.begin(), frames.end(), [&](const Frame& frame) {
        return frame.slope == first.slope && frame.inter == first.inter;
    });
    if (!uniform) return {"float32", true, 1, 0};
    const std::string stored = storedTypeName(pixels);
    if (first.slope == 1 && first.inter == 0) return {stored, true, 1, 0};
    if (!isWhole(first.slope) || !isWhole(first.inter)) return {stored, false, first.slope, first.inter};
    const Range raw = storedRange(pixels);
    const double a = raw.low * first.slope + first.inter, b = raw.high * first.slope + first.inter;
    const Range range{std::min(a, b), std::max(a, b)};
    if (holds<std::int16_t>(range)) return {"int16", true, 1, 0};
    if (holds<std::uint16_t>(range)) return {"uint16", true, 1, 0};
    if (holds<std::int32_t>(range)) return {"int32", true, 1, 0};
    return {stored, false, first.slope, first.inter};
}

void requireReadablePixels(const DicomFile& file) {
    const std::string name = file.path.string();
    const PixelLayout& pixels = file.pixels;
    if (pixels.samples != 1 || pixels.photometric.starts_with("PALETTE"))
        throw DataError(name, fmt::format("holds RGB colours ({}), not intensities or labels", pixels.photometric));
    if (pixels.bitsAllocated != 8 && pixels.bitsAllocated != 16 && pixels.bitsAllocated != 32)
        throw DataError(name, fmt::format("pixels of {} bits are not supported", pixels.bitsAllocated));
    if (file.isMosaic)
        throw DataError(name,
                        "is a Siemens mosaic (all slices in one picture): export enhanced or single-slice DICOM, "
                        "or convert it with dcm2niix");
    const std::uint64_t bytes = std::uint64_t(pixels.rows) * std::uint64_t(pixels.columns) *
                                std::uint64_t(pixels.frames) * std::uint64_t((pixels.bitsAllocated + 7) / 8);
    const std::uint64_t present = fs::file_size(file.path);
    const bool plain = file.transferSyntax == "1.2.840.10008.1.2" || file.transferSyntax == "1.2.840.10008.1.2.1" ||
                       file.transferSyntax == "1.2.840.10008.1.2.2";
    if (!plain) return requirePlausibleSize(bytes, present, name);
    if (bytes > present)
        throw DataError(name, fmt::format("truncated: {} x {} pixels in {} frames need {} bytes, the file has {}",
                                          pixels.columns, pixels.rows, pixels.frames, bytes, present));
}

template <typename T>
void decodeFrames(const DicomFile& file, bool applied, const std::vector<T*>& targets) {
    throwIfInterrupted();
    const Document document(file.path);
    const Element* element = document.data().find(kPixelData);
    if (element == nullptr) throw DataError(file.path.string(), "holds no pixel data");
    if (element->isEncapsulated) {
        const DecodedPixels decoded = decodeCompressed(file, *element);
        return scatterAny({decoded.memory->bytes().subspan(decoded.offset), decoded.bits, decoded.isSigned}, file,
                          applied, targets);
    }
    const PixelLayout& pixels = file.pixels;
    if (document.data().byteOrder() == nativeByteOrder() || pixels.bitsAllocated == 8)
        return scatterAny({element->value, pixels.bitsAllocated, pixels.isSigned}, file, applied, targets);
    const auto native = swapped(element->value, static_cast<std::size_t>(pixels.bitsAllocated / 8));
    scatterAny({native, pixels.bitsAllocated, pixels.isSigned}, file, applied, targets);
}

template void decodeFrames(const DicomFile&, bool, const std::vector<std::uint8_t*>&);
template void decodeFrames(const DicomFile&, bool, const std::vector<std::int8_t*>&);
template void decodeFrames(const DicomFile&, bool, const std::vector<std::uint16_t*>&);
template void decodeFrames(const DicomFile&, bool, const std::vector<std::int16_t*>&);
template void decodeFrames(const DicomFile&, bool, const std::vector<std::uint32_t*>&);
template void decodeFrames(const DicomFile&, bool, const std::vector<std::int32_t*>&);
template void decodeFrames(const DicomFile&, bool, const std::vector<float*>&);

std::string transferSyntaxName(const std::string& uid) {
    constexpr std::pair<const char*, const char*> kNames[] = {
        {"1.2.840.10008.1.2", "uncompressed"},
        {"1.2.840.10008.1.2.1", "uncompressed"},
        {"1.2.840.10008.1.2.2", "uncompressed"},
        {"1.2.840.10008.1.2.1.99", "deflated"},
        {"1.2.840.10008.1.2.4.50", "JPEG"},
        {"1.2.840.10008.1.2.4.51", "JPEG"},
        {"1.2.840.10008.1.2.4.57", "JPEG lossless"},
        {"1.2.840.10008.1.2.4.70", "JPEG lossless"},
        {"1.2.840.10008.1.2.4.80", "JPEG-LS lossless"},
        {"1.2.840.10008.1.2.4.81", "JPEG-LS"},
        {"1.2.840.10008.1.2.4.90", "JPEG 2000 lossless"},
        {"1.2.840.10008.1.2.4.91", "JPEG 2000"},
        {"1.2.840.10008.1.2.5", "RLE lossless"},
    };
    for (const auto& [known, name] : kNames)
        if (uid == known) return name;
    return uid;
}

}  // namespace medseg::dicom
