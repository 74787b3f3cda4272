#include "medseg/io/dicom/dicom_pixels.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <fmt/format.h>
#include <gdcmImageReader.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/io/dicom/dicom_lengths.h"
#include "medseg/volume/voxel_types.h"

namespace medseg::dicom {
namespace {

/// Compressed images of nothing are tiny: sizes below this need no justification, above it the file's length times the
/// factor must reach them.
constexpr std::uint64_t kFreeBytes = std::uint64_t{64} << 20, kMaxExpansion = 1000;
constexpr std::uint64_t kSlackBytes = 1;  // a padding byte that is missing

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

/// Pixels of type In, as GDCM decoded them, to voxels of type T.
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

struct DecodedPixels {
    gdcm::PixelFormat format;
    std::vector<char> bytes;
};

DecodedPixels decode(const DicomFile& file) {
    const std::string name = file.path.string();
    {
        const MappedFile mapped(file.path);
        checkDicomLengths(mapped.bytes(), name);
    }
    std::ifstream stream(file.path, std::ios::binary);
    gdcm::ImageReader reader;
    reader.SetStream(stream);
    DecodedPixels decoded;
    try {
        if (!reader.Read()) throw DataError(name, "its pixel data cannot be read: damaged, or an unsupported encoding");
        const gdcm::Image& image = reader.GetImage();
        decoded.format = image.GetPixelFormat();
        const unsigned int* size = image.GetDimensions();
        const std::uint64_t frames = image.GetNumberOfDimensions() > 2 ? size[2] : 1;
        const std::uint64_t wanted = std::uint64_t{size[0]} * size[1] * frames * decoded.format.GetPixelSize();
        if (size[0] != static_cast<unsigned>(file.pixels.columns) ||
            size[1] != static_cast<unsigned>(file.pixels.rows) ||
            frames != static_cast<std::uint64_t>(file.pixels.frames) || decoded.format.GetSamplesPerPixel() != 1)
            throw DataError(name, "its pixel data have another size than its header says");
        if (image.GetBufferLength() < wanted) throw DataError(name, "truncated: pixels are missing");
        decoded.bytes.resize(image.GetBufferLength());
        if (!image.GetBuffer(decoded.bytes.data()))
            throw DataError(name, fmt::format("its pixel data ({}) cannot be decoded: damaged or truncated",
                                              transferSyntaxName(file.transferSyntax)));
    } catch (const Error&) {
        throw;
    } catch (const std::exception& problem) {
        throw DataError(name, "its pixel data cannot be decoded: damaged or truncated");
    }
    return decoded;
}

template <typename In, typename T>
void scatter(const DecodedPixels& decoded, const DicomFile& file, bool applied, const std::vector<T*>& targets) {
    const std::size_t count =
        static_cast<std::size_t>(file.pixels.rows) * static_cast<std::size_t>(file.pixels.columns);
    const In* pixels = reinterpret_cast<const In*>(decoded.bytes.data());
    for (std::size_t f = 0; f < targets.size(); ++f) {
        if (targets[f] == nullptr) continue;
        const Frame& frame = file.frames[f];
        const double slope = applied ? frame.slope : 1, inter = applied ? frame.inter : 0;
        if (!convertPixels(pixels + f * count, count, slope, inter, targets[f]))
            throw DataError(file.path.string(),
                            fmt::format("holds pixels beyond its {} bits: damaged, or its BitsStored "
                                        "is wrong",
                                        file.pixels.bitsStored));
    }
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
    if (pixels.bitsAllocated != 8 && pixels.bitsAllocated != 12 && pixels.bitsAllocated != 16 &&
        pixels.bitsAllocated != 32)
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
    if (plain ? bytes > present + kSlackBytes : bytes > kFreeBytes && bytes / kMaxExpansion > present)
        throw DataError(name, fmt::format("truncated: {} x {} pixels in {} frames need {} bytes, the file has {}",
                                          pixels.columns, pixels.rows, pixels.frames, bytes, present));
}

template <typename T>
void decodeFrames(const DicomFile& file, bool applied, const std::vector<T*>& targets) {
    throwIfInterrupted();
    const DecodedPixels decoded = decode(file);
    switch (decoded.format.GetScalarType()) {
        case gdcm::PixelFormat::UINT8:
            return scatter<std::uint8_t>(decoded, file, applied, targets);
        case gdcm::PixelFormat::INT8:
            return scatter<std::int8_t>(decoded, file, applied, targets);
        case gdcm::PixelFormat::UINT12:
        case gdcm::PixelFormat::UINT16:
            return scatter<std::uint16_t>(decoded, file, applied, targets);
        case gdcm::PixelFormat::INT12:
        case gdcm::PixelFormat::INT16:
            return scatter<std::int16_t>(decoded, file, applied, targets);
        case gdcm::PixelFormat::UINT32:
            return scatter<std::uint32_t>(decoded, file, applied, targets);
        case gdcm::PixelFormat::INT32:
            return scatter<std::int32_t>(decoded, file, applied, targets);
        default:
            break;
    }
    throw DataError(file.path.string(), "pixels of this type are not supported");
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
