// The engine's own kernels: what oneDNN has no primitive for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace medseg {

constexpr int kChannelBlock = 16;  ///< of the blocked layout (batch, channels / 16, height, width, 16)

/// Input (batch, height, width, 4 * up), skip (batch, 2 height, 2 width, skip), output (batch, 2 height, 2 width,
/// up + skip).
struct InterleaveShape {
    std::int64_t batch = 0, height = 0, width = 0;
    std::int64_t up = 0, skip = 0;
};

/// Channels last, elements of any size: output pixel (2y+dy, 2x+dx) gets channels (2dy+dx) * up .. of input pixel (y,
/// x), then those of the skip.
void interleaveChannelsLast(const InterleaveShape& shape, const void* input, const void* skip, void* output,
                            std::size_t elementSize);
/// The same with channels in blocks of 16; `up` and `skip` are multiples of 16.
void interleaveBlocked(const InterleaveShape& shape, const float* input, const float* skip, float* output);
/// Channels last; the skip's 0..255 become 0..127 (rounded half up).
void interleaveQuantized(const InterleaveShape& shape, const std::int8_t* input, const std::uint8_t* skip,
                         std::int8_t* output);

/// round(value / scale), limited to 0..255.
void quantize(const float* values, std::int64_t count, float scale, std::uint8_t* out);

}  // namespace medseg
