#include "medseg/report/prepared_files.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/slice_cache.h"
#include "medseg/io/half_float.h"
#include "medseg/io/image_file.h"
#include "medseg/io/npy.h"
#include "medseg/io/npy_header.h"

namespace medseg {
namespace {

using Shape = std::vector<std::int64_t>;

/// Rows from the top and columns from the left, as an axial picture shows them: anterior and the patient's right first.
Geometry asItLies(const Index3& size, const Vec3& spacing = {1, 1, 1}) {
    Affine affine = identityAffine();
    affine[0][0] = -spacing[0];
    affine[1][1] = -spacing[1];
    affine[2][2] = spacing[2];
    return {size, affine};
}

[[noreturn]] void failShape(const fs::path& path, const char* array, const Shape& shape, const char* expected) {
    throw DataError(path.string(),
                    fmt::format("array {} has shape ({}), expected is {}", array, fmt::join(shape, ", "), expected));
}

template <typename Voxel>
Volume<Voxel> volumeFrom(const std::vector<double>& values, const Geometry& geometry) {
    Volume<Voxel> volume(geometry);
    std::transform(values.begin(), values.end(), volume.data(), [](double v) { return static_cast<Voxel>(v); });
    return volume;
}

/// imgs and gts (z, y, x), spacing (x, y, z).
PreparedPicture readMedsamVolume(const NpzFile& npz, const fs::path& path) {
    const NpyArray images = npz.read("imgs");
    const Shape& shape = images.shape;
    if (shape.size() != 3 || images.elementCount() == 0) failShape(path, "imgs", shape, "(slices, rows, columns)");
    Vec3 spacing{1, 1, 1};
    if (npz.contains("spacing")) {
        const std::vector<double> stored = npz.read("spacing").toDoubles();
        if (stored.size() == 3 && std::all_of(stored.begin(), stored.end(), [](double mm) { return mm > 0; }))
            std::copy(stored.begin(), stored.end(), spacing.begin());
    }
    const bool isSized = npz.contains("spacing");
    const Geometry geometry = asItLies({shape[2], shape[1], shape[0]}, spacing);
    PreparedPicture picture{.image = volumeFrom<float>(images.toDoubles(), geometry),
                            .window = Window::fromRange(0, 255),
                            .isSized = isSized};
    if (!npz.contains("gts")) return picture;
    const NpyArray labels = npz.read("gts");
    if (labels.shape != shape) failShape(path, "gts", labels.shape, "that of imgs");
    picture.labels = LabelMap(volumeFrom<std::uint16_t>(labels.toDoubles(), geometry));
    return picture;
}

/// image (3, rows, columns) and mask (rows, columns).
PreparedPicture readSam3dSlice(const NpzFile& npz, const fs::path& path) {
    const NpyArray image = npz.read("image"), mask = npz.read("mask");
    if (image.shape.size() != 3 || image.elementCount() == 0)
        failShape(path, "image", image.shape, "(3, rows, columns)");
    const Shape plane{image.shape[1], image.shape[2]};
    if (mask.shape != plane) failShape(path, "mask", mask.shape, "that of a channel of image");
    const Geometry geometry = asItLies({plane[1], plane[0], 1});
    std::vector<double> channel = image.toDoubles();
    channel.resize(static_cast<std::size_t>(plane[0] * plane[1]));
    return {.image = volumeFrom<float>(channel, geometry),
            .labels = LabelMap(volumeFrom<std::uint16_t>(mask.toDoubles(), geometry))};
}

/// Distances (classes, i, j, k): slices across k, with rows i and columns j. The image is the least distance.
PreparedPicture readDistances(const fs::path& path) {
    const NpyArray array = readNpy(path);
    const Shape& shape = array.shape;
    if (shape.size() != 4 || array.elementCount() == 0) failShape(path, "of distances", shape, "(classes, i, j, k)");
    const float* distance = array.as<float>();
    const Geometry geometry = asItLies({shape[2], shape[1], shape[3]});
    Volume<float> image(geometry);
    Volume<std::uint16_t> labels(geometry, 0);
    const std::int64_t voxels = shape[1] * shape[2] * shape[3];
    for (std::int64_t i = 0; i < shape[1]; ++i)
        for (std::int64_t j = 0; j < shape[2]; ++j)
            for (std::int64_t k = 0; k < shape[3]; ++k) {
                const float* here = distance + (i * shape[2] + j) * shape[3] + k;
                float least = here[0];
                for (std::int64_t c = 0; c < shape[0]; ++c) {
                    const float value = here[c * voxels];
                    least = std::min(least, value);
                    if (value < 0) labels(j, i, k) = static_cast<std::uint16_t>(c + 1);
                }
                image(j, i, k) = least;
            }
    return {.image = std::move(image), .labels = LabelMap(std::move(labels)), .window = Window::fromRange(-20, 20)};
}

/// Labels put onto another number of rows and columns, by the nearest pixel.
Volume<std::uint16_t> nearestLabels(const NpyArray& labels, const Geometry& geometry) {
    const std::vector<double> values = labels.toDoubles();
    const std::int64_t rows = labels.shape[0], columns = labels.shape[1];
    Volume<std::uint16_t> volume(geometry);
    for (std::int64_t y = 0; y < geometry.ny(); ++y)
        for (std::int64_t x = 0; x < geometry.nx(); ++x)
            volume(x, y, 0) = static_cast<std::uint16_t>(
                values[static_cast<std::size_t>(y * rows / geometry.ny() * columns + x * columns / geometry.nx())]);
    return volume;
}

/// (rows, columns, 3): equal channels, bytes or 0..1.
PreparedPicture readMedsamSlice(const fs::path& path) {
    const NpyArray array = readNpy(path);
    const Shape& shape = array.shape;
    const Geometry geometry = asItLies({shape[1], shape[0], 1});
    const std::vector<double> values = array.toDoubles();
    Volume<float> image(geometry);
    for (std::int64_t i = 0; i < image.voxelCount(); ++i)
        image.data()[i] = static_cast<float>(values[static_cast<std::size_t>(3 * i)]);
    PreparedPicture picture{.image = std::move(image),
                            .window = Window::fromRange(0, array.type == NpyType::U8 ? 255 : 1)};
    const fs::path labelFile = path.parent_path().parent_path() / "gts" / path.filename();
    if (!fs::exists(labelFile)) return picture;
    const NpyArray labels = readNpy(labelFile);
    if (labels.shape.size() != 2 || labels.elementCount() == 0)
        failShape(labelFile, "of labels", labels.shape, "(rows, columns)");
    picture.labels = LabelMap(nearestLabels(labels, geometry));
    return picture;
}

/// A case of a slice cache, whose rows ascend to anterior (or superior) and columns to the right.
PreparedPicture readCachedCase(const SliceCache& cache, std::int64_t index) {
    const CachedCase& item = cache.caseAt(index);
    const SliceFormat& format = cache.format();
    const SlicePlan plan = SlicePlan::of(item.geometry, format.axis);
    const double column = plan.columnSpacing * static_cast<double>(plan.width) / static_cast<double>(format.width);
    const double row = plan.rowSpacing * static_cast<double>(plan.height) / static_cast<double>(format.height);
    const Geometry geometry =
        Geometry::axisAligned({format.width, format.height, item.sliceCount()}, {column, row, plan.sliceSpacing});
    Volume<float> image(geometry);
    Volume<std::uint16_t> labels(geometry, 0);
    for (std::int64_t k = 0; k < item.sliceCount(); ++k) {
        const std::int64_t slice = cache.firstSliceOf(index) + k, first = k * format.pixelCount();
        cache.copyImage(slice, image.data() + first);
        const auto bytes = cache.labelBytes(slice, 0);
        for (std::int64_t p = 0; p < format.pixelCount(); ++p) {
            const auto at = static_cast<std::size_t>(p * format.labelBytes());
            labels.data()[first + p] =
                static_cast<std::uint16_t>(bytes[at] | (format.labelBytes() > 1 ? bytes[at + 1] << 8 : 0));
        }
    }
    return {.image = std::move(image),
            .labels = LabelMap(std::move(labels), format.labels),
            .window = Window::fromRange(0, 1),
            .isOriented = format.axis == SliceAxis::Axial,
            .isSized = true};
}

std::optional<PreparedPicture> readArray(const fs::path& path) {
    const fs::path folder = path.parent_path().filename(), root = path.parent_path().parent_path();
    if (folder == "images" && fs::exists(root / "cache.json")) {
        const SliceCache cache(root);
        const std::int64_t index = cache.findCase(path.stem().string());
        if (index >= 0) return readCachedCase(cache, index);
    }
    if (path.stem().string().ends_with("_sdf")) return readDistances(path);
    if (folder != "imgs") return std::nullopt;
    const MappedFile file(path);
    const Shape shape = parseNpyHeader(file.bytes(), path.string()).shape;
    if (shape.size() != 3 || shape[2] != 3 || shape[0] < 1 || shape[1] < 1) return std::nullopt;
    return readMedsamSlice(path);
}

std::optional<PreparedPicture> readArchive(const fs::path& path) {
    const NpzFile npz(path);
    if (npz.contains("imgs")) return readMedsamVolume(npz, path);
    if (npz.contains("image") && npz.contains("mask")) return readSam3dSlice(npz, path);
    return std::nullopt;
}

}  // namespace

OverlayCase PreparedPicture::overlay() const {
    OverlayCase overlay;
    overlay.name = name;
    overlay.image = &image;
    overlay.isOriented = isOriented;
    overlay.isSized = isSized;
    overlay.reference = labels ? &*labels : nullptr;
    overlay.imageFile = overlay.referenceFile = file.string();
    return overlay;
}

std::optional<PreparedPicture> readPreparedFile(const fs::path& path) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return std::nullopt;
    std::optional<PreparedPicture> picture;
    if (endsWithIgnoringCase(path.string(), ".npz")) picture = readArchive(path);
    if (endsWithIgnoringCase(path.string(), ".npy")) picture = readArray(fs::absolute(path));
    if (!picture) return std::nullopt;
    picture->name = path.stem().string();
    picture->file = path;
    return picture;
}

}  // namespace medseg
