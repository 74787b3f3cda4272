#include "medseg/imaging/resize_pillow.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr int kWeightBits = 22;

/// The input pixels under one output pixel.
struct Taps {
    std::int64_t first = 0;
    std::vector<std::int32_t> weights;
};

double support(PillowFilter filter) {
    return filter == PillowFilter::Bilinear ? 1 : 2;
}

/// The filter at distance x, in units of the wider of input and output pixel.
double filterValue(PillowFilter filter, double x) {
    x = std::abs(x);
    if (filter == PillowFilter::Bilinear) return x < 1 ? 1 - x : 0;
    constexpr double a = -0.5;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

std::vector<Taps> tapsOf(PillowFilter filter, std::int64_t in, std::int64_t out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double widening = std::max(scale, 1.0);
    const double reach = support(filter) * widening;
    std::vector<Taps> all(static_cast<std::size_t>(out));
    std::vector<double> exact;
    for (std::int64_t i = 0; i < out; ++i) {
        const double center = (static_cast<double>(i) + 0.5) * scale;
        // Pillow truncates towards zero and then clamps.
        const std::int64_t first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - reach + 0.5));
        const std::int64_t end = std::min(in, static_cast<std::int64_t>(center + reach + 0.5));
        exact.clear();
        double sum = 0;
        for (std::int64_t x = first; x < end; ++x) {
            exact.push_back(filterValue(filter, (static_cast<double>(x) - center + 0.5) * (1.0 / widening)));
            sum += exact.back();
        }
        Taps& taps = all[static_cast<std::size_t>(i)];
        taps.first = first;
        for (const double weight : exact) {
            const double fixed = (sum != 0 ? weight / sum : weight) * (1 << kWeightBits);
            taps.weights.push_back(static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
        }
    }
    return all;
}

/// One output pixel: `step` bytes lie between neighbouring input pixels.
std::uint8_t weigh(const std::uint8_t* in, std::int64_t step, const Taps& taps) {
    std::int32_t sum = 1 << (kWeightBits - 1);
    const std::uint8_t* value = in + taps.first * step;
    for (const std::int32_t weight : taps.weights) {
        sum += weight * *value;
        value += step;
    }
    return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

void resizeRows(PixelView<const std::uint8_t> in, PillowFilter filter, PixelView<std::uint8_t> out) {
    const std::vector<Taps> taps = tapsOf(filter, in.width, out.width);
    parallelForEach(0, in.height, [&](std::int64_t y) {
        const std::uint8_t* row = in.data + y * in.width * in.channels;
        std::uint8_t* target = out.data + y * out.width * out.channels;
        for (std::int64_t x = 0; x < out.width; ++x)
            for (int c = 0; c < in.channels; ++c)
                *target++ = weigh(row + c, in.channels, taps[static_cast<std::size_t>(x)]);
    });
}

void resizeColumns(PixelView<const std::uint8_t> in, PillowFilter filter, PixelView<std::uint8_t> out) {
    const std::vector<Taps> taps = tapsOf(filter, in.height, out.height);
    const std::int64_t rowBytes = in.width * in.channels;
    parallelForEach(0, out.height, [&](std::int64_t y) {
        std::uint8_t* target = out.data + y * rowBytes;
        for (std::int64_t i = 0; i < rowBytes; ++i)
            target[i] = weigh(in.data + i, rowBytes, taps[static_cast<std::size_t>(y)]);
    });
}

}  // namespace

void resizePillow(PixelView<const std::uint8_t> in, PillowFilter filter, PixelView<std::uint8_t> out) {
    if (in.width < 1 || in.height < 1 || out.width < 1 || out.height < 1 || in.channels != out.channels)
        throw DataError(fmt::format("cannot resize {}x{} pixels of {} channels to {}x{} of {}", in.width, in.height,
                                    in.channels, out.width, out.height, out.channels));
    std::vector<std::uint8_t> narrowed(static_cast<std::size_t>(out.width * in.height * in.channels));
    const PixelView<std::uint8_t> middle{narrowed.data(), out.width, in.height, in.channels};
    if (in.width == out.width)
        std::copy_n(in.data, narrowed.size(), narrowed.data());
    else
        resizeRows(in, filter, middle);
    const PixelView<const std::uint8_t> source{narrowed.data(), out.width, in.height, in.channels};
    if (in.height == out.height)
        std::copy_n(narrowed.data(), narrowed.size(), out.data);
    else
        resizeColumns(source, filter, out);
}

}  // namespace medseg
