#include "medseg/io/image_file.h"

#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/io/formats_module.h"
#include "medseg/io/half_float.h"
#include "medseg/io/metaimage.h"
#include "medseg/io/nifti.h"
#include "medseg/io/npy.h"
#include "medseg/io/npy_header.h"
#include "medseg/io/nrrd.h"
#include "medseg/io/png.h"
#include "medseg/io/raw_voxels.h"
#include "medseg/io/zip.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr std::int64_t kVoxelsPerTask = 1 << 18;
constexpr std::string_view kNpyEnding = ".npy", kNpzEnding = ".npz", kPngEnding = ".png";
/// The longer endings stand first.
constexpr std::string_view kEndings[] = {".nii.gz",   ".nii",  ".hdr.gz", ".hdr",  ".img.gz", ".img",
                                         ".seg.nrrd", ".nrrd", ".nhdr",   ".mha",  ".mhd",    ".npy",
                                         ".npz",      ".png",  ".tif",    ".tiff", ".jpg",    ".jpeg"};
constexpr std::string_view kDicomEndings[] = {".dcm", ".ima"};
constexpr std::string_view kWrittenEndings =
    ".nii, .nii.gz, .hdr, .img, .nrrd, .seg.nrrd, .nhdr, .mha, .mhd, .npy, .npz, .png, .tif or .jpg";

/// TIFF in both byte orders and both sizes, JPEG.
constexpr std::string_view kPictureMagics[] = {{"II*\0", 4}, {"MM\0*", 4}, {"II+\0", 4}, {"MM\0+", 4}, "\xff\xd8\xff"};

enum class Format { Nifti, Nrrd, MetaImage, Npy, Npz, Png, Picture, Dicom };

bool hasEnding(const std::string& name, std::span<const std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(),
                       [&](std::string_view ending) { return endsWithIgnoringCase(name, ending); });
}

/// By name for NIfTI, whose content may be compressed; by content for the others, and by name where that says nothing:
/// their readers say what is wrong.
Format formatOfFile(const fs::path& path) {
    const MappedFile file(path);  // also reports missing and unreadable files
    if (isNiftiName(path)) return Format::Nifti;
    const auto startsWith = [&](std::string_view magic) {
        return file.bytes().size() >= magic.size() && std::memcmp(file.bytes().data(), magic.data(), magic.size()) == 0;
    };
    if (startsWith("\x89PNG")) return Format::Png;
    for (const std::string_view magic : kPictureMagics)
        if (startsWith(magic)) return Format::Picture;
    if (startsWith("\x93NUMPY")) return Format::Npy;
    if (ZipReader::looksLikeZip(file.bytes())) return Format::Npz;
    if (looksLikeNrrd(file.bytes())) return Format::Nrrd;
    if (isDicomFile(path)) return Format::Dicom;
    const std::string name = path.string();
    if (endsWithIgnoringCase(name, kNpyEnding)) return Format::Npy;
    if (endsWithIgnoringCase(name, kNpzEnding)) return Format::Npz;
    if (endsWithIgnoringCase(name, kPngEnding)) return Format::Png;
    if (isTiffName(path) || isJpegName(path)) return Format::Picture;
    if (isNrrdName(path)) return Format::Nrrd;
    if (isMetaImageName(path) || looksLikeMetaImage(file.bytes())) return Format::MetaImage;
    throw DataError(name, fmt::format("no known image format: DICOM or {} are read", kWrittenEndings));
}

/// What to read: STUDY/2 becomes the second series of STUDY.
struct Source {
    fs::path path;
    ReadOptions options;
    Format format;
};

Source sourceOf(const fs::path& path, const ReadOptions& options) {
    std::error_code error;
    if (fs::is_directory(path, error)) return {path, options, Format::Dicom};
    if (auto series = asDicomSeriesPath(path)) {
        Source source{series->folder, options, Format::Dicom};
        source.options.series = series->series;
        return source;
    }
    return {path, options, formatOfFile(path)};
}

ImageHeader fromNifti(const NiftiInfo& info) {
    const NiftiHeader& nifti = info.header;
    ImageHeader header;
    header.format = fmt::format("NIfTI-{}{}", nifti.version, nifti.singleFile ? "" : " pair");
    header.geometry = nifti.geometry;
    header.shape = nifti.shape;
    header.storedType = niftiTypeName(nifti.type);
    header.slope = nifti.slope;
    header.inter = nifti.inter;
    header.hasScaling = nifti.hasScaling();
    header.labels = info.labels;
    return header;
}

/// numpy's (z, y, x) becomes size (x, y, z); axes before the last three count volumes.
ImageHeader fromNpy(const NpyHeader& npy, std::string format, const std::string& source) {
    ImageHeader header;
    header.format = std::move(format);
    header.shape.assign(npy.shape.rbegin(), npy.shape.rend());
    header.storedType = npy.typeName();
    Index3 size{1, 1, 1};
    for (std::size_t axis = 0; axis < header.shape.size(); ++axis) {
        if (header.shape[axis] < 1) throw DataError(source, "is an empty array, not an image");
        if (axis < 3) size[axis] = header.shape[axis];
    }
    header.geometry = Geometry(size, identityAffine());
    return header;
}

ImageHeader fromPng(const PngInfo& png) {
    ImageHeader header;
    header.format = "PNG";
    header.shape = {png.width, png.height};
    header.storedType = png.channels == 1
                            ? fmt::format("uint{}", png.bits)
                            : fmt::format("{}{}", png.channels >= 3 ? "rgb" : "gray", png.channels * png.bits);
    header.geometry = Geometry({png.width, png.height, 1}, identityAffine());
    return header;
}

std::string onlyArrayOf(const NpzFile& npz, const fs::path& path) {
    const auto names = npz.names();
    if (names.size() == 1) return names.front();
    throw DataError(path.string(),
                    fmt::format("holds {} arrays ({}), an image file holds one", names.size(), fmt::join(names, ", ")));
}

NpyHeader readNpyHeader(const fs::path& path) {
    const MappedFile file(path);
    return parseNpyHeader(file.bytes(), path.string());
}

template <typename T, typename Source>
AnyVolume volumeFrom(const Geometry& geometry, const Source* source) {
    Volume<T> volume(geometry);
    std::copy_n(source, volume.voxelCount(), volume.data());
    return volume;
}

AnyVolume volumeFromArray(const NpyArray& array, const Geometry& geometry, std::int64_t offset) {
    const auto copy = [&]<typename T>(const T&) { return volumeFrom<T>(geometry, array.as<T>() + offset); };
    switch (array.type) {
        case NpyType::Bool:
        case NpyType::U8:
            return copy(std::uint8_t{});
        case NpyType::I8:
            return copy(std::int8_t{});
        case NpyType::U16:
            return copy(std::uint16_t{});
        case NpyType::I16:
            return copy(std::int16_t{});
        case NpyType::U32:
            return copy(std::uint32_t{});
        case NpyType::I32:
            return copy(std::int32_t{});
        case NpyType::U64:
            return copy(std::uint64_t{});
        case NpyType::I64:
            return copy(std::int64_t{});
        case NpyType::F32:
            return copy(float{});
        case NpyType::F64:
            return copy(double{});
        case NpyType::F16:
            break;
    }
    Volume<float> volume(geometry);
    std::transform(array.as<std::uint16_t>() + offset, array.as<std::uint16_t>() + offset + volume.voxelCount(),
                   volume.data(), halfToFloat);
    return volume;
}

int checkedVolume(const ImageHeader& header, const ReadOptions& options, const fs::path& path) {
    std::int64_t volumes = 1;
    for (std::size_t i = 3; i < header.shape.size(); ++i) volumes *= header.shape[i];
    return chosenVolume(volumes, options.volumeIndex, path.string());
}

StoredImage fromArray(ImageHeader header, const NpyArray& array, const ReadOptions& options, const fs::path& path) {
    if (options.stackVolumes) {
        const Index3& size = header.geometry.size();
        const Geometry all({size[0], size[1], array.elementCount() / (size[0] * size[1])}, header.geometry.affine());
        return {std::move(header), volumeFromArray(array, all, 0)};
    }
    const int index = checkedVolume(header, options, path);
    const Geometry geometry = header.geometry;
    return {std::move(header), volumeFromArray(array, geometry, index * geometry.voxelCount())};
}

NpyArray arrayFrom(const AnyVolume& any) {
    return std::visit(
        [](const auto& volume) {
            return NpyArray::of({volume.nz(), volume.ny(), volume.nx()}, volume.data());
        },
        any);
}

void writePngSlice(const fs::path& path, const AnyVolume& any) {
    std::visit(
        [&]<typename T>(const Volume<T>& volume) {
            if (volume.nz() != 1)
                throw UsageError(fmt::format("{}: a PNG holds one slice, the volume has size {}", path.string(),
                                             formatSize(volume.size())));
            if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::uint16_t>)
                writePng(path, volume.slice(0));
            else
                throw UsageError(fmt::format("{}: a PNG holds uint8 or uint16 voxels, not {}: convert with --dtype",
                                             path.string(), voxelTypeName(AnyVolume(Volume<T>()))));
        },
        any);
}

/// Writes any format but NIfTI.
void writePlain(const fs::path& path, const AnyVolume& volume, const LabelTable& labels, const WriteOptions& options) {
    requireImageName(path);
    const std::string name = path.string();
    if (isNrrdName(path)) return writeNrrd(path, volume, labels, options.compressionLevel);
    if (isMetaImageName(path)) return writeMetaImage(path, volume, options.compressionLevel);
    if (endsWithIgnoringCase(name, kNpyEnding)) return writeNpy(path, arrayFrom(volume));
    if (endsWithIgnoringCase(name, kNpzEnding)) {
        std::map<std::string, NpyArray> arrays;
        arrays.emplace("data", arrayFrom(volume));
        return writeNpz(path, arrays);
    }
    if (endsWithIgnoringCase(name, kPngEnding)) return writePngSlice(path, volume);
    loadFormatsModule().writePicture(path, volume);
}

}  // namespace

std::string voxelTypeName(const AnyVolume& volume) {
    return std::string(kVoxelTypeNames[volume.index()]);
}

ImageHeader readImageHeader(const fs::path& file, const ReadOptions& wanted) {
    const auto [path, options, format] = sourceOf(file, wanted);
    switch (format) {
        case Format::Nifti:
            return fromNifti(readNiftiInfo(path));
        case Format::Nrrd:
            return readNrrdHeader(path);
        case Format::MetaImage:
            return readMetaImageHeader(path);
        case Format::Dicom:
            return loadFormatsModule().readDicomHeader(path, options);
        case Format::Picture:
            return loadFormatsModule().readPictureHeader(path);
        case Format::Npy:
            return fromNpy(readNpyHeader(path), "npy", path.string());
        case Format::Png:
            return fromPng(readPngInfo(path));
        case Format::Npz:
            break;
    }
    const NpzFile npz(path);
    return fromNpy(npz.header(onlyArrayOf(npz, path)), "npz", path.string());
}

StoredImage readStoredImage(const fs::path& file, const ReadOptions& wanted) {
    const auto [path, options, format] = sourceOf(file, wanted);
    switch (format) {
        case Format::Nifti: {
            NiftiImage image = readNifti(path, options.volumeIndex, options.stackVolumes);
            return {fromNifti(image.info), std::move(image.voxels)};
        }
        case Format::Nrrd:
            return readNrrd(path, options);
        case Format::MetaImage:
            return readMetaImage(path, options);
        case Format::Dicom:
            return loadFormatsModule().readDicom(path, options);
        case Format::Picture: {
            StoredImage image = loadFormatsModule().readPicture(path);
            checkedVolume(image.header, options, path);
            return image;
        }
        case Format::Npy: {
            const NpyArray array = readNpy(path);
            return fromArray(fromNpy(readNpyHeader(path), "npy", path.string()), array, options, path);
        }
        case Format::Png: {
            ImageHeader header = fromPng(readPngInfo(path));
            checkedVolume(header, options, path);
            AnyVolume voxels = readPng(path);
            header.storedType = voxelTypeName(voxels);  // gray pixels of a colour file
            return {std::move(header), std::move(voxels)};
        }
        case Format::Npz:
            break;
    }
    const NpzFile npz(path);
    const std::string name = onlyArrayOf(npz, path);
    const NpyArray array = npz.read(name);
    return fromArray(fromNpy(npz.header(name), "npz", path.string()), array, options, path);
}

Volume<float> scaledToFloat(const AnyVolume& stored, double slope, double inter) {
    return std::visit(
        [&]<typename T>(const Volume<T>& from) {
            Volume<float> to(from.geometry());
            const T* source = from.data();
            float* target = to.data();
            const bool scaled = slope != 1 || inter != 0;
            parallelFor(0, from.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
                if (scaled)
                    for (std::int64_t i = first; i < last; ++i)
                        target[i] = static_cast<float>(static_cast<double>(source[i]) * slope + inter);
                else
                    for (std::int64_t i = first; i < last; ++i) target[i] = static_cast<float>(source[i]);
            });
            return to;
        },
        stored);
}

Volume<float> readImage(const fs::path& path, const ReadOptions& options) {
    StoredImage image = readStoredImage(path, options);
    if (auto* floats = std::get_if<Volume<float>>(&image.voxels); floats != nullptr && !image.header.hasScaling)
        return std::move(*floats);
    return scaledToFloat(image.voxels, image.header.slope, image.header.inter);
}

LabelMap readLabelMap(const fs::path& path, const ReadOptions& options) {
    StoredImage image = readStoredImage(path, options);
    if (image.header.hasScaling) image.voxels = scaledToFloat(image.voxels, image.header.slope, image.header.inter);
    return LabelMap::fromAny(image.voxels, std::move(image.header.labels), path.string());
}

void writeImage(const fs::path& path, const AnyVolume& volume, const WriteOptions& options) {
    if (isNiftiName(path)) return writeNifti(path, volume, {options.compressionLevel, {}});
    writePlain(path, volume, {}, options);
}

void writeLabelMap(const fs::path& path, const LabelMap& labels, const WriteOptions& options) {
    if (!isNiftiName(path)) {
        labels.visit([&](const auto& volume) { writePlain(path, volume.clone(), labels.table(), options); });
        return;
    }
    NiftiWriteOptions nifti{options.compressionLevel, {}};
    if (!labels.table().empty()) nifti.extensions.push_back(labelExtension(labels.table()));
    labels.visit([&](const auto& volume) { writeNifti(path, volume, nifti); });
}

bool isImageName(const fs::path& path) {
    return hasEnding(path.string(), kEndings) || hasEnding(path.string(), kDicomEndings);
}

bool isPreviewName(const fs::path& path) {
    return endsWithIgnoringCase(path.string(), kPngEnding) || isJpegName(path);
}

void requireImageName(const fs::path& path) {
    if (hasEnding(path.string(), kEndings)) return;
    throw UsageError(fmt::format(
        "{}: {}: use {}", path.string(),
        hasEnding(path.string(), kDicomEndings) ? "DICOM is read, not written" : "unknown ending for an image",
        kWrittenEndings));
}

std::string imageStem(const fs::path& path) {
    std::string name = (path.has_filename() ? path : path.parent_path()).filename().string();
    for (const auto endings :
         {std::span<const std::string_view>(kEndings), std::span<const std::string_view>(kDicomEndings)})
        for (const std::string_view ending : endings)
            if (endsWithIgnoringCase(name, ending)) return name.substr(0, name.size() - ending.size());
    return name;
}

}  // namespace medseg
