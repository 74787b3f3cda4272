#include "medseg/dataset/medsam_slices.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/npy_stream.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/imaging/resize_opencv.h"
#include "medseg/imaging/zoom.h"

namespace medseg {
namespace {

constexpr std::int64_t kChannels = 3;
constexpr std::int64_t kPixelsPerWrite = 1 << 15;

/// An image of three equal channels.
template <typename T>
void writeGrayAsColor(const fs::path& path, NpyType type, const T* gray, std::int64_t rows, std::int64_t columns) {
    NpyStream stream(path, type, {rows, columns, kChannels});
    std::vector<T> colors(static_cast<std::size_t>(std::min(rows * columns, kPixelsPerWrite) * kChannels));
    for (std::int64_t first = 0; first < rows * columns; first += kPixelsPerWrite) {
        const std::int64_t count = std::min(kPixelsPerWrite, rows * columns - first);
        T* out = colors.data();
        for (std::int64_t i = first; i < first + count; ++i, out += kChannels) out[0] = out[1] = out[2] = gray[i];
        stream.append(colors.data(), count * kChannels);
    }
    stream.commit();
}

void writeImage(SliceView<const std::uint8_t> slice, MedsamSliceStyle style, const std::array<int, 2>& size,
                const fs::path& path) {
    if (style == MedsamSliceStyle::Bytes)
        return writeGrayAsColor(path, NpyType::U8, slice.data, slice.height, slice.width);
    std::vector<double> resized = resizeSliceCubic(slice, size[0], size[1]);
    normalizeToUnit(resized);
    writeGrayAsColor(path, NpyType::F64, resized.data(), size[0], size[1]);
}

void writeLabels(SliceView<const std::uint8_t> slice, MedsamSliceStyle style, const std::array<int, 2>& size,
                 const fs::path& path) {
    const std::int64_t rows = size[0], columns = size[1];
    std::vector<std::uint8_t> resized(static_cast<std::size_t>(rows * columns));
    if (style == MedsamSliceStyle::Float)
        resizeNearest<std::uint8_t>(slice, {resized.data(), columns, rows, columns});
    else
        resizeOpenCv({slice.data, slice.width, slice.height, 1}, OpenCvResize::Nearest,
                     PixelView<std::uint8_t>{resized.data(), columns, rows, 1});
    NpyStream stream(path, NpyType::U8, {rows, columns});
    stream.append(resized.data(), rows * columns);
    stream.commit();
}

}  // namespace

std::vector<double> resizeSliceCubic(SliceView<const std::uint8_t> slice, std::int64_t rows, std::int64_t columns,
                                     Boundary border) {
    Volume<double> values(Geometry::axisAligned({slice.width, slice.height, 1}, {1, 1, 1}));
    for (std::int64_t y = 0; y < slice.height; ++y)
        std::copy_n(slice.row(y), slice.width, values.data() + y * slice.width);
    const Volume<double> resized = resizeVolume(values, {columns, rows, 1}, {3, border, true, true, 0});
    return {resized.voxels().begin(), resized.voxels().end()};
}

void normalizeToUnit(std::vector<double>& values) {
    if (values.empty()) return;
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double from = *low, extent = std::max(*high - *low, 1e-8);
    for (double& value : values) value = (value - from) / extent;
}

void writeMedsamSlice(SliceView<const std::uint8_t> image, SliceView<const std::uint8_t> labels, MedsamSliceStyle style,
                      const std::array<int, 2>& size, const fs::path& folder, const std::string& name,
                      std::int64_t number) {
    const std::string file = fmt::format("{}-{:03}.npy", name, number);
    writeImage(image, style, size, folder / "imgs" / file);
    writeLabels(labels, style, size, folder / "gts" / file);
}

void writeMedsamSlices(const Volume<std::uint8_t>& images, const Volume<std::uint8_t>& labels, MedsamSliceStyle style,
                       const std::array<int, 2>& size, const fs::path& folder, const std::string& name) {
    createDirectories(folder / "imgs");
    createDirectories(folder / "gts");
    parallelForEach(0, images.nz(), [&](std::int64_t z) {
        throwIfInterrupted();
        writeMedsamSlice(images.slice(z), labels.slice(z), style, size, folder, name, z);
    });
}

}  // namespace medseg
