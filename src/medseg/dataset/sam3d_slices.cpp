#include "medseg/dataset/sam3d_slices.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/io/zip.h"

namespace medseg {
namespace {

using Index2 = std::array<std::size_t, 2>;

/// Index axes along the rows and columns of a slice.
constexpr std::array<Index2, 3> kPlaneAxes{Index2{1, 2}, Index2{0, 2}, Index2{0, 1}};
/// Legacy rule: which of (i, j, k) multiplies each column of the affine.
constexpr std::array<std::array<std::size_t, 3>, 3> kLegacyOrder{
    std::array<std::size_t, 3>{1, 0, 2}, std::array<std::size_t, 3>{1, 2, 0}, std::array<std::size_t, 3>{1, 0, 2}};
constexpr std::array<std::size_t, 3> kExactOrder{0, 1, 2};

/// A slice as addresses: offset(row, column) = base + row * rowStep + column * columnStep.
struct Plane {
    std::int64_t height, width, base, rowStep, columnStep;

    Plane(const Index3& size, int axis, std::int64_t index) {
        const Index3 step{size[1] * size[2], size[2], 1};
        const Index2 axes = kPlaneAxes[static_cast<std::size_t>(axis)];
        height = size[axes[0]];
        width = size[axes[1]];
        rowStep = step[axes[0]];
        columnStep = step[axes[1]];
        base = index * step[static_cast<std::size_t>(axis)];
    }
};

void requireAxis(int axis) {
    if (axis < 0 || axis > 2) throw UsageError(fmt::format("there is no axis {}: use 0, 1 or 2", axis));
}

template <typename T>
void gather(const T* volume, const Plane& plane, T* out) {
    for (std::int64_t row = 0; row < plane.height; ++row) {
        const T* line = volume + plane.base + row * plane.rowStep;
        for (std::int64_t column = 0; column < plane.width; ++column) *out++ = line[column * plane.columnStep];
    }
}

void fillPoints(Sam3dSlice& slice, const Affine& affine, PointmapRule rule) {
    const auto axis = static_cast<std::size_t>(slice.axis);
    const auto& order = rule == PointmapRule::Exact ? kExactOrder : kLegacyOrder[axis];
    const std::int64_t pixels = slice.height * slice.width;
    slice.pointmap.assign(static_cast<std::size_t>(3 * pixels), std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
        if (slice.mask[static_cast<std::size_t>(pixel)] == 0) continue;
        Vec3 voxel{};
        voxel[axis] = static_cast<double>(slice.index);
        voxel[kPlaneAxes[axis][0]] = static_cast<double>(pixel / slice.width);
        voxel[kPlaneAxes[axis][1]] = static_cast<double>(pixel % slice.width);
        for (std::size_t row = 0; row < 3; ++row)
            slice.pointmap[row * static_cast<std::size_t>(pixels) + static_cast<std::size_t>(pixel)] =
                static_cast<float>(affine[row][0] * voxel[order[0]] + affine[row][1] * voxel[order[1]] +
                                   affine[row][2] * voxel[order[2]] + affine[row][3]);
    }
}

/// Start of a .npy member (format 1.0), padded so that the data begin at a multiple of 64.
std::string npyStart(const std::string& descriptor, const std::vector<std::int64_t>& shape) {
    const std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descriptor,
                                         fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
    constexpr std::size_t kPrefix = 10, kAlignment = 64;
    const std::size_t padded = (kPrefix + text.size() + kAlignment) / kAlignment * kAlignment - kPrefix;
    return fmt::format("\x93NUMPY\x01{}{}{}{:<{}}\n", '\0', static_cast<char>(padded & 0xff),
                       static_cast<char>(padded >> 8), text, padded - 1);
}

template <typename T>
ByteSpan bytesOf(const T* values, std::size_t count) {
    return {reinterpret_cast<const std::uint8_t*>(values), count * sizeof(T)};
}

/// The points in blocks. Blocks without any foreground are all NaN: they share one memory, which is compressed once.
std::vector<ByteSpan> pointParts(const Sam3dSlice& slice) {
    constexpr std::size_t kBlock = 1 << 13;  // points
    static const std::vector<float> kNowhere(kBlock, std::numeric_limits<float>::quiet_NaN());
    std::vector<ByteSpan> parts;
    const std::size_t pixels = slice.mask.size();
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const float* points = slice.pointmap.data() + channel * pixels;
        std::size_t open = 0;  // first point that is in no part yet
        for (std::size_t begin = 0; begin < pixels; begin += kBlock) {
            const std::size_t end = std::min(pixels, begin + kBlock);
            const auto mask = std::span(slice.mask).subspan(begin, end - begin);
            if (std::any_of(mask.begin(), mask.end(), [](std::uint8_t label) { return label != 0; })) continue;
            if (open < begin) parts.push_back(bytesOf(points + open, begin - open));
            parts.push_back(bytesOf(kNowhere.data(), end - begin));
            open = end;
        }
        if (open < pixels) parts.push_back(bytesOf(points + open, pixels - open));
    }
    return parts;
}

/// Code points, as numpy stores text; bytes that are no UTF-8 become U+FFFD.
std::vector<std::uint32_t> codePoints(const std::string& text) {
    std::vector<std::uint32_t> points;
    for (std::size_t at = 0; at < text.size();) {
        const auto lead = static_cast<std::uint8_t>(text[at]);
        const std::size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
        bool valid = length > 0 && at + length <= text.size();
        for (std::size_t i = 1; valid && i < length; ++i) {
            const auto next = static_cast<std::uint8_t>(text[at + i]);
            valid = next >> 6 == 2;
            point = point << 6 | (next & 0x3FU);
        }
        points.push_back(valid ? point : 0xFFFDU);
        at += valid ? length : 1;
    }
    return points;
}

}  // namespace

Sam3dSlice sam3dSlice(const Sam3dVolume& volume, int axis, std::int64_t index, PointmapRule rule) {
    requireAxis(axis);
    const Index3 size = volume.size();
    if (index < 0 || index >= size[static_cast<std::size_t>(axis)])
        throw UsageError(
            fmt::format("slice {} of axis {}: the volume has {}", index, axis, size[static_cast<std::size_t>(axis)]));
    const Plane plane(size, axis, index);
    Sam3dSlice slice{.axis = axis,
                     .index = index,
                     .height = plane.height,
                     .width = plane.width,
                     .image = std::vector<float>(static_cast<std::size_t>(plane.height * plane.width)),
                     .mask = std::vector<std::uint8_t>(static_cast<std::size_t>(plane.height * plane.width)),
                     .pointmap = {}};
    gather(volume.image.data(), plane, slice.image.data());
    gather(volume.labels.data(), plane, slice.mask.data());
    fillPoints(slice, volume.affine(), rule);
    return slice;
}

std::vector<std::int64_t> slicesWithForeground(const Sam3dVolume& volume, int axis, double ratio) {
    requireAxis(axis);
    const auto [ni, nj, nk] = volume.size();
    std::array<std::vector<std::int64_t>, 3> counts{std::vector<std::int64_t>(static_cast<std::size_t>(ni)),
                                                    std::vector<std::int64_t>(static_cast<std::size_t>(nj)),
                                                    std::vector<std::int64_t>(static_cast<std::size_t>(nk))};
    const std::uint8_t* label = volume.labels.data();
    for (std::int64_t i = 0; i < ni; ++i)
        for (std::int64_t j = 0; j < nj; ++j)
            for (std::int64_t k = 0; k < nk; ++k)
                if (*label++ != 0) {
                    ++counts[0][static_cast<std::size_t>(i)];
                    ++counts[1][static_cast<std::size_t>(j)];
                    ++counts[2][static_cast<std::size_t>(k)];
                }
    const auto& along = counts[static_cast<std::size_t>(axis)];
    const auto pixels = static_cast<double>(ni * nj * nk / static_cast<std::int64_t>(along.size()));
    std::vector<std::int64_t> kept;
    for (std::size_t index = 0; index < along.size(); ++index)
        if (static_cast<double>(along[index]) / pixels >= ratio && along[index] > 0)
            kept.push_back(static_cast<std::int64_t>(index));
    return kept;
}

std::string sam3dSliceName(const std::string& caseId, int axis, std::int64_t index) {
    return fmt::format("{}_axis{}_slice{:04}.npz", caseId, axis, index);
}

void writeSam3dSlice(const std::filesystem::path& path, const Sam3dSlice& slice, const Affine& affine,
                     const std::string& distanceFile) {
    ZipWriter zip(path);
    const auto add = [&zip](const char* name, const std::string& start, std::vector<ByteSpan> parts) {
        parts.insert(parts.begin(), bytesOf(start.data(), start.size()));
        zip.addParts(std::string(name) + ".npy", parts, {.level = 1});
    };
    const ByteSpan channel = bytesOf(slice.image.data(), slice.image.size());
    const std::vector<std::uint32_t> text = codePoints(distanceFile);
    const std::int64_t axis = slice.axis;
    add("image", npyStart("<f4", {3, slice.height, slice.width}), {channel, channel, channel});
    add("mask", npyStart("|u1", {slice.height, slice.width}), {bytesOf(slice.mask.data(), slice.mask.size())});
    add("pointmap", npyStart("<f4", {3, slice.height, slice.width}), pointParts(slice));
    add("affine", npyStart("<f8", {4, 4}), {bytesOf(affine[0].data(), 16)});
    add("slice_idx", npyStart("<i8", {}), {bytesOf(&slice.index, 1)});
    add("axis", npyStart("<i8", {}), {bytesOf(&axis, 1)});
    add("gt_sdf_path", npyStart(fmt::format("<U{}", text.size()), {}), {bytesOf(text.data(), text.size())});
    zip.commit();
}

int sam3dAxisFromName(const std::string& name) {
    if (name == "0" || name == "i") return 0;
    if (name == "1" || name == "j") return 1;
    if (name == "2" || name == "k") return 2;
    throw UsageError(fmt::format("unknown axis \"{}\": use 0, 1, 2 or i, j, k, the axes of the stored array", name));
}

}  // namespace medseg
