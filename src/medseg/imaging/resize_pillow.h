// Pillow's Image.resize of 8-bit pictures.
#pragma once

#include <cstdint>

#include "medseg/imaging/resize_opencv.h"

namespace medseg {

enum class PillowFilter {
    Bilinear,  ///< triangle
    Bicubic    ///< a = -0.5
};

/// Horizontal pass, rounded to bytes, then vertical pass; the filter widens with the shrink factor; weights in fixed
/// point of 22 bits, so that the result is Pillow's bit for bit. An axis whose size stays is left alone. Throws
/// DataError for pictures without pixels or different channels.
void resizePillow(PixelView<const std::uint8_t> in, PillowFilter filter, PixelView<std::uint8_t> out);

}  // namespace medseg
