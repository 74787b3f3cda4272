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

std::vector<Taps> triangleTaps(std::int64_t in, std::int64_t out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double support = std::max(scale, 1.0);
    std::vector<Taps> all(static_cast<std::size_t>(out));
    std::vector<double> exact;
    for (std::int64_t i = 0; i < out; ++i) {
        const double center = (static_cast<double>(i) + 0.5) * scale;
        // Pillow truncates towards zero and then clamps.
        const std::int64_t first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - support + 0.5));
        const std::int64_t end = std::min(in, static_cast<std::int64_t>(center + support + 0.5));
        exact.clear();
        double sum = 0;
        for (std::int64_t x = first; x < end; ++x) {
            const double distance = std::abs((static_cast<double>(x) - center + 0.5) * (1.0 / support));
            exact.push_back(distance < 1 ? 1 - distance : 0);
            sum += exact.back();
        }
        Taps& taps = all[static_cast<std::size_t>(i)];
        taps.first = first;
        for (const double weight : exact) {
            const double normalized = sum != 0 ? weight / sum : weight;
            taps.weights.push_back(static_cast<std::int32_t>(0.5 + normalized * (1 << kWeightBits)));
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

void resizeRows(PixelView<const std::uint8_t> in, PixelView<std::uint8_t> out) {
    const std::vector<Taps> taps = triangleTaps(in.width, out.width);
    parallelForEach(0, in.height, [&](std::int64_t y) {
        const std::uint8_t* row = in.data + y * in.width * in.channels;
        std::uint8_t* target = out.data + y * out.width * out.channels;
        for (std::int64_t x = 0; x < out.width; ++x)
            for (int c = 0; c < in.channels; ++c)
                *target++ = weigh(row + c, in.channels, taps[static_cast<std::size_t>(x)]);
    });
}

void resizeColumns(PixelView<const std::uint8_t> in, PixelView<std::uint8_t> out) {
    const std::vector<Taps> taps = triangleTaps(in.height, out.height);
    const std::int64_t rowBytes = in.width * in.channels;
    parallelForEach(0, out.height, [&](std::int64_t y) {
        std::uint8_t* target = out.data + y * rowBytes;
        for (std::int64_t i = 0; i < rowBytes; ++i)
            target[i] = weigh(in.data + i, rowBytes, taps[static_cast<std::size_t>(y)]);
    });
}

}  // namespace

void resizePillowBilinear(PixelView<const std::uint8_t> in, PixelView<std::uint8_t> out) {
    if (in.width < 1 || in.height < 1 || out.width < 1 || out.height < 1 || in.channels != out.channels)
        throw DataError(fmt::format("cannot resize {}x{} pixels of {} channels to {}x{} of {}", in.width, in.height,
                                    in.channels, out.width, out.height, out.channels));
    std::vector<std::uint8_t> narrowed(static_cast<std::size_t>(out.width * in.height * in.channels));
    const PixelView<std::uint8_t> middle{narrowed.data(), out.width, in.height, in.channels};
    if (in.width == out.width)
        std::copy_n(in.data, narrowed.size(), narrowed.data());
    else
        resizeRows(in, middle);
    const PixelView<const std::uint8_t> source{narrowed.data(), out.width, in.height, in.channels};
    if (in.height == out.height)
        std::copy_n(narrowed.data(), narrowed.size(), out.data);
    else
        resizeColumns(source, out);
}

}  // namespace medseg
