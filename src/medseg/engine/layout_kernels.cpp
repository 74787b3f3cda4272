#include "medseg/engine/layout_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "medseg/base/threads.h"

namespace medseg {
namespace {

/// Calls body(input pixel, corner, output pixel), all counted from the start of the batch.
template <typename Body>
void forPixels(const InterleaveShape& shape, Body&& body) {
    parallelForEach(0, shape.batch * shape.height, [&](std::int64_t row) {
        for (std::int64_t x = 0; x < shape.width; ++x)
            for (std::int64_t corner = 0; corner < 4; ++corner)
                body(row * shape.width + x, corner, (2 * row + corner / 2) * 2 * shape.width + 2 * x + corner % 2);
    });
}

}  // namespace

void interleaveChannelsLast(const InterleaveShape& shape, const void* input, const void* skip, void* output,
                            std::size_t elementSize) {
    const std::size_t up = static_cast<std::size_t>(shape.up) * elementSize;
    const std::size_t other = static_cast<std::size_t>(shape.skip) * elementSize;
    const auto* in = static_cast<const std::byte*>(input);
    const auto* from = static_cast<const std::byte*>(skip);
    auto* out = static_cast<std::byte*>(output);
    forPixels(shape, [&](std::int64_t pixel, std::int64_t corner, std::int64_t target) {
        std::byte* place = out + static_cast<std::size_t>(target) * (up + other);
        std::memcpy(place, in + static_cast<std::size_t>(4 * pixel + corner) * up, up);
        std::memcpy(place + up, from + static_cast<std::size_t>(target) * other, other);
    });
}

void interleaveBlocked(const InterleaveShape& shape, const float* input, const float* skip, float* output) {
    const std::int64_t upBlocks = shape.up / kChannelBlock, skipBlocks = shape.skip / kChannelBlock;
    const std::int64_t inPlane = shape.height * shape.width * kChannelBlock, outPlane = 4 * inPlane;
    const std::int64_t width = shape.width;
    parallelForEach(0, shape.batch * (upBlocks + skipBlocks), [&](std::int64_t index) {
        const std::int64_t image = index / (upBlocks + skipBlocks), block = index % (upBlocks + skipBlocks);
        float* target = output + index * outPlane;
        if (block >= upBlocks) {
            std::copy_n(skip + (image * skipBlocks + block - upBlocks) * outPlane, outPlane, target);
            return;
        }
        for (std::int64_t y = 0; y < 2 * shape.height; ++y) {
            const float* rows[2];
            for (std::int64_t dx = 0; dx < 2; ++dx)
                rows[dx] = input + (image * 4 * upBlocks + (2 * (y % 2) + dx) * upBlocks + block) * inPlane +
                           y / 2 * width * kChannelBlock;
            float* row = target + y * 2 * width * kChannelBlock;
            for (std::int64_t x = 0; x < 2 * width; ++x)
                std::copy_n(rows[x % 2] + x / 2 * kChannelBlock, kChannelBlock, row + x * kChannelBlock);
        }
    });
}

void interleaveQuantized(const InterleaveShape& shape, const std::int8_t* input, const std::uint8_t* skip,
                         std::int8_t* output) {
    forPixels(shape, [&](std::int64_t pixel, std::int64_t corner, std::int64_t target) {
        std::int8_t* place = output + target * (shape.up + shape.skip);
        std::copy_n(input + (4 * pixel + corner) * shape.up, shape.up, place);
        const std::uint8_t* from = skip + target * shape.skip;
        std::int8_t* rest = place + shape.up;
        for (std::int64_t c = 0; c < shape.skip; ++c)
            rest[c] = static_cast<std::int8_t>(std::min((from[c] + 1) >> 1, 127));
    });
}

void quantize(const float* values, std::int64_t count, float scale, std::uint8_t* out) {
    const float inverse = 1 / scale;
    parallelFor(0, count, 1 << 16, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
            out[i] = static_cast<std::uint8_t>(std::clamp(values[i] * inverse + 0.5F, 0.0F, 255.0F));
    });
}

}  // namespace medseg
