#include "medseg/imaging/resize2d.h"

#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/separable.h"

namespace medseg {
namespace {

template <typename T>
void requirePixels(const SliceView<T>& view, const char* what) {
    if (view.data == nullptr || view.width <= 0 || view.height <= 0)
        throw DataError(fmt::format("cannot resize: the {} has no pixels ({}x{})", what, view.width, view.height));
}

}  // namespace

template <typename T>
void resizeBilinear(SliceView<const T> in, SliceView<T> out) {
    requirePixels(in, "input");
    requirePixels(out, "output");
    const std::array maps{linearAxis(in.width, halfPixelCoordinates(in.width, out.width)),
                          linearAxis(in.height, halfPixelCoordinates(in.height, out.height)), identityAxis(1)};
    resampleSeparable(in.data, {in.width, in.height, 1}, maps, 0.0, out.data, in.rowStride, out.rowStride);
}

template <typename T>
void resizeNearest(SliceView<const T> in, SliceView<T> out) {
    requirePixels(in, "input");
    requirePixels(out, "output");
    std::vector<std::int64_t> columns(out.width);
    for (std::int64_t x = 0; x < out.width; ++x) columns[x] = (2 * x + 1) * in.width / (2 * out.width);
    for (std::int64_t y = 0; y < out.height; ++y) {
        const T* source = in.row((2 * y + 1) * in.height / (2 * out.height));
        T* target = out.row(y);
        for (std::int64_t x = 0; x < out.width; ++x) target[x] = source[columns[x]];
    }
}

template void resizeBilinear<std::uint8_t>(SliceView<const std::uint8_t>, SliceView<std::uint8_t>);
template void resizeBilinear<std::int16_t>(SliceView<const std::int16_t>, SliceView<std::int16_t>);
template void resizeBilinear<float>(SliceView<const float>, SliceView<float>);
template void resizeNearest<std::uint8_t>(SliceView<const std::uint8_t>, SliceView<std::uint8_t>);
template void resizeNearest<std::int8_t>(SliceView<const std::int8_t>, SliceView<std::int8_t>);
template void resizeNearest<std::uint16_t>(SliceView<const std::uint16_t>, SliceView<std::uint16_t>);
template void resizeNearest<std::int16_t>(SliceView<const std::int16_t>, SliceView<std::int16_t>);
template void resizeNearest<std::uint32_t>(SliceView<const std::uint32_t>, SliceView<std::uint32_t>);
template void resizeNearest<std::int32_t>(SliceView<const std::int32_t>, SliceView<std::int32_t>);
template void resizeNearest<float>(SliceView<const float>, SliceView<float>);

}  // namespace medseg
