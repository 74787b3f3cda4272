#include "medseg/io/nifti.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/io/byte_source.h"
#include "medseg/io/label_xml.h"
#include "medseg/io/raw_voxels.h"

namespace medseg {
namespace {

static_assert(nativeByteOrder() == ByteOrder::Little, "voxels are written as they lie in memory");

constexpr std::size_t kExtenderSize = 4, kExtensionHeadSize = 8, kExtensionAlignment = 16;
/// Label tables of a thousand structures need 100 KB; more than this is not read.
constexpr std::uint64_t kMaxExtensionBytes = std::uint64_t{16} << 20;
constexpr std::int64_t kMaxNifti1Size = 32767;

constexpr std::string_view kSingleEndings[] = {".nii", ".nii.gz"};
constexpr std::string_view kHeaderEndings[] = {".hdr", ".hdr.gz"};
constexpr std::string_view kImageEndings[] = {".img", ".img.gz"};

template <std::size_t N>
std::string_view endingOf(const std::string& name, const std::string_view (&endings)[N]) {
    std::string_view found;
    for (const std::string_view ending : endings)
        if (endsWithIgnoringCase(name, ending)) found = ending;
    return found;
}

/// The other file of a pair: with the same kind of compression if it exists, else with the other kind.
fs::path partner(const fs::path& path, std::string_view ending, const std::string_view (&endings)[2]) {
    const std::string name = path.string(), stem = name.substr(0, name.size() - ending.size());
    const bool compressed = ending.ends_with(".gz");
    const fs::path same = stem + std::string(endings[compressed ? 1 : 0]);
    const fs::path other = stem + std::string(endings[compressed ? 0 : 1]);
    return !fs::exists(same) && fs::exists(other) ? other : same;
}

fs::path headerPath(const fs::path& path) {
    const std::string_view ending = endingOf(path.string(), kImageEndings);
    return ending.empty() ? path : partner(path, ending, kHeaderEndings);
}

fs::path dataPath(const fs::path& path) {
    const std::string_view ending = endingOf(path.string(), kHeaderEndings);
    return ending.empty() ? path : partner(path, ending, kImageEndings);
}

/// Reads until `output` is full or the file ends; the rest of `output` is cut off.
std::vector<std::uint8_t> readUpTo(ByteSource& source, std::size_t count) {
    std::vector<std::uint8_t> bytes(count);
    bytes.resize(source.read(bytes));
    return bytes;
}

/// Extensions in `bytes`, which lie behind the four bytes that announce them.
std::vector<NiftiExtension> parseExtensions(ByteSpan bytes, ByteOrder order, const std::string& source) {
    std::vector<NiftiExtension> extensions;
    while (bytes.size() >= kExtensionHeadSize) {
        const auto size = loadNumber<std::int32_t>(bytes.data(), order);
        const auto code = loadNumber<std::int32_t>(bytes.data() + 4, order);
        if (size == 0) break;  // padding up to the voxels
        if (size < static_cast<std::int32_t>(kExtensionHeadSize) || static_cast<std::size_t>(size) > bytes.size()) {
            logWarning("{}: ignoring a damaged header extension of {} bytes", source, size);
            break;
        }
        const ByteSpan content = bytes.subspan(kExtensionHeadSize, static_cast<std::size_t>(size) - kExtensionHeadSize);
        extensions.push_back({code, {content.begin(), content.end()}});
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return extensions;
}

LabelTable labelsIn(const std::vector<NiftiExtension>& extensions) {
    for (const NiftiExtension& extension : extensions) {
        LabelTable table =
            parseLabelXml({reinterpret_cast<const char*>(extension.bytes.data()), extension.bytes.size()});
        if (!table.empty()) return table;
    }
    return {};
}

/// Leaves `source` at the voxels of a single file (at the end of the extensions of a header file).
NiftiInfo readInfo(ByteSource& source, const std::string& name) {
    std::vector<std::uint8_t> bytes = readUpTo(source, kNifti1HeaderSize);
    const bool isVersion2 = bytes.size() == kNifti1HeaderSize &&
                            (loadNumber<std::int32_t>(bytes.data(), ByteOrder::Little) == kNifti2HeaderSize ||
                             loadNumber<std::int32_t>(bytes.data(), ByteOrder::Big) == kNifti2HeaderSize);
    if (isVersion2) {
        const auto rest = readUpTo(source, kNifti2HeaderSize - kNifti1HeaderSize);
        bytes.insert(bytes.end(), rest.begin(), rest.end());
    }
    NiftiInfo info{parseNiftiHeader(bytes, name), {}, {}};
    const auto extender = readUpTo(source, kExtenderSize);
    std::uint64_t gap = source.atMost();
    if (info.header.singleFile) gap = std::min(gap, info.header.dataOffset - bytes.size() - kExtenderSize);
    if (extender.size() == kExtenderSize && extender[0] != 0 && gap > 0) {
        const auto extensions = readUpTo(source, static_cast<std::size_t>(std::min(gap, kMaxExtensionBytes)));
        info.extensions = parseExtensions(extensions, info.header.byteOrder, name);
        gap -= std::min<std::uint64_t>(gap, extensions.size());
    }
    if (info.header.singleFile) source.skip(gap);
    info.labels = labelsIn(info.extensions);
    return info;
}

void requireReadableType(NiftiType type, const std::string& name) {
    if (niftiTypeSize(type) > 0) return;
    if (type == NiftiType::RGB24 || type == NiftiType::RGBA32)
        throw DataError(name, fmt::format("holds RGB colours ({}), not intensities or labels: convert it to one number "
                                          "for each voxel first",
                                          niftiTypeName(type)));
    throw DataError(name, fmt::format("voxels of type {} are not supported: convert them to float64 or an integer type",
                                      niftiTypeName(type)));
}

AnyVolume readVoxels(ByteSource& source, const NiftiHeader& header, std::optional<int> volumeIndex, bool stackVolumes,
                     const std::string& name) {
    const RawVoxels layout{niftiTypeName(header.type), header.byteOrder, header.geometry, header.shape, false};
    return readRawVoxels(source, layout, volumeIndex, stackVolumes, name);
}

template <typename T>
constexpr NiftiType niftiTypeOf() {
    if constexpr (std::is_same_v<T, float>) return NiftiType::F32;
    if constexpr (std::is_same_v<T, double>) return NiftiType::F64;
    constexpr bool kSigned = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return kSigned ? NiftiType::I8 : NiftiType::U8;
    if constexpr (sizeof(T) == 2) return kSigned ? NiftiType::I16 : NiftiType::U16;
    if constexpr (sizeof(T) == 4) return kSigned ? NiftiType::I32 : NiftiType::U32;
    return kSigned ? NiftiType::I64 : NiftiType::U64;
}

std::vector<std::uint8_t> serializeExtensions(const std::vector<NiftiExtension>& extensions) {
    std::vector<std::uint8_t> bytes;
    for (const NiftiExtension& extension : extensions) {
        const std::size_t raw = kExtensionHeadSize + extension.bytes.size();
        const std::size_t size = (raw + kExtensionAlignment - 1) / kExtensionAlignment * kExtensionAlignment;
        const std::size_t at = bytes.size();
        bytes.resize(at + size, 0);
        storeNumber(&bytes[at], static_cast<std::int32_t>(size));
        storeNumber(&bytes[at + 4], static_cast<std::int32_t>(extension.code));
        std::copy(extension.bytes.begin(), extension.bytes.end(), &bytes[at + kExtensionHeadSize]);
    }
    return bytes;
}

void writeParts(AtomicFile& file, const fs::path& path, std::span<const ByteSpan> parts, int level) {
    if (endsWithIgnoringCase(path.string(), ".gz")) return writeGzip(file, parts, level);
    for (const ByteSpan part : parts) file.write(part.data(), part.size());
}

template <typename T>
void writeVolume(const fs::path& path, const Volume<T>& volume, const NiftiWriteOptions& options) {
    const Index3& size = volume.size();
    NiftiHeader header;
    header.version = *std::max_element(size.begin(), size.end()) > kMaxNifti1Size ? 2 : 1;
    header.singleFile = !endingOf(path.string(), kSingleEndings).empty();
    header.shape.assign(size.begin(), size.end());
    header.type = niftiTypeOf<T>();
    header.geometry = volume.geometry();
    const auto extensions = serializeExtensions(options.extensions);
    const std::size_t headerSize = header.version == 1 ? kNifti1HeaderSize : kNifti2HeaderSize;
    header.dataOffset = header.singleFile ? headerSize + kExtenderSize + extensions.size() : 0;
    auto headerBytes = serializeNiftiHeader(header, !extensions.empty());
    headerBytes.insert(headerBytes.end(), extensions.begin(), extensions.end());
    const ByteSpan voxels{reinterpret_cast<const std::uint8_t*>(volume.data()),
                          static_cast<std::size_t>(volume.voxelCount()) * sizeof(T)};

    if (header.singleFile) {
        AtomicFile file(path);
        const ByteSpan parts[] = {headerBytes, voxels};
        writeParts(file, path, parts, options.compressionLevel);
        file.commit();
        return;
    }
    const fs::path headerFile = headerPath(path), dataFile = dataPath(path);
    AtomicFile data(dataFile), head(headerFile);
    const ByteSpan dataPart = voxels, headPart = headerBytes;
    writeParts(data, dataFile, {&dataPart, 1}, options.compressionLevel);
    writeParts(head, headerFile, {&headPart, 1}, options.compressionLevel);
    data.commit();
    head.commit();
}

}  // namespace

bool isNiftiName(const fs::path& path) {
    const std::string name = path.string();
    return !endingOf(name, kSingleEndings).empty() || !endingOf(name, kHeaderEndings).empty() ||
           !endingOf(name, kImageEndings).empty();
}

NiftiInfo readNiftiInfo(const fs::path& path) {
    const fs::path file = headerPath(path);
    ByteSource source(file);
    return readInfo(source, file.string());
}

NiftiImage readNifti(const fs::path& path, std::optional<int> volumeIndex, bool stackVolumes) {
    const fs::path headerFile = headerPath(path);
    ByteSource headerSource(headerFile);
    NiftiImage image{readInfo(headerSource, headerFile.string()), {}};
    const NiftiHeader& header = image.info.header;
    requireReadableType(header.type, headerFile.string());
    if (header.singleFile) {
        image.voxels = readVoxels(headerSource, header, volumeIndex, stackVolumes, headerFile.string());
        return image;
    }
    const fs::path dataFile = dataPath(headerFile);
    if (dataFile == headerFile)
        throw DataError(headerFile.string(), "is the header of a NIfTI pair: name it .hdr and put its .img beside it");
    ByteSource dataSource(dataFile);
    dataSource.skip(header.dataOffset);
    image.voxels = readVoxels(dataSource, header, volumeIndex, stackVolumes, dataFile.string());
    return image;
}

void writeNifti(const fs::path& path, const AnyVolume& volume, const NiftiWriteOptions& options) {
    std::visit([&](const auto& v) { writeVolume(path, v, options); }, volume);
}
void writeNifti(const fs::path& path, const Volume<std::uint8_t>& volume, const NiftiWriteOptions& options) {
    writeVolume(path, volume, options);
}
void writeNifti(const fs::path& path, const Volume<std::uint16_t>& volume, const NiftiWriteOptions& options) {
    writeVolume(path, volume, options);
}

NiftiExtension labelExtension(const LabelTable& table) {
    constexpr int kUnknownCode = 0;  // as TotalSegmentator marks it
    const std::string xml = labelXml(table);
    return {kUnknownCode, {xml.begin(), xml.end()}};
}

}  // namespace medseg
