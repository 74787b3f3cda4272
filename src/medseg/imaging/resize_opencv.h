// cv2.resize: slices of bytes and floats, with OpenCV's fixed-point arithmetic for bytes.
#pragma once

#include <cstdint>
#include <string>

namespace medseg {

enum class OpenCvResize {
    Nearest,       ///< floor(x * in / out)
    NearestExact,  ///< pixel under the centre, in 16 bit fixed point
    Linear,        ///< bytes: weights of 11 bits
    LinearExact,   ///< bytes: weights of 8 bits, the same on every machine
    Cubic,         ///< a = -0.75; bytes: weights of 11 bits
    Area,          ///< mean over the covered area when shrinking both axes, else a kind of Linear
    Lanczos4       ///< 8 x 8 taps; bytes: weights of 11 bits
};

/// From "INTER_LINEAR" and so on. Throws UsageError.
OpenCvResize openCvResizeFromName(const std::string& name);

/// Interleaved pixels, rows without gaps: channels fastest, then x, then y.
template <typename T>
struct PixelView {
    T* data = nullptr;
    std::int64_t width = 0;
    std::int64_t height = 0;
    int channels = 1;
};

/// Differs from OpenCV's own builds by at most one (their vector code rounds in other places). Throws DataError for
/// images without pixels or different channels.
void resizeOpenCv(PixelView<const std::uint8_t> in, OpenCvResize interpolation, PixelView<std::uint8_t> out);
/// Floats: computed in double, rounded once. LinearExact is Linear.
void resizeOpenCv(PixelView<const float> in, OpenCvResize interpolation, PixelView<float> out);

}  // namespace medseg
