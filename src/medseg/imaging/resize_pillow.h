// Pillow's Image.resize of 8-bit pictures with the bilinear filter.
#pragma once

#include <cstdint>

#include "medseg/imaging/resize_opencv.h"

namespace medseg {

/// Horizontal pass, rounded to bytes, then vertical pass; the triangle filter widens with the shrink factor; weights in
/// fixed point of 22 bits, so that the result is Pillow's bit for bit. An axis whose size stays is left alone. Throws
/// DataError for pictures without pixels or different channels.
void resizePillowBilinear(PixelView<const std::uint8_t> in, PixelView<std::uint8_t> out);

}  // namespace medseg
