// Intensities: windows by name, clipping, scaling to [0, 1], bytes or z-scores.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace medseg {

/// A display window in the unit of the image (HU for CT): values from level - width/2 to level + width/2.
struct Window {
    double level = 40;
    double width = 400;

    double low() const { return level - width / 2; }
    double high() const { return level + width / 2; }
    static Window fromRange(double low, double high) { return {(low + high) / 2, high - low}; }
};

struct NamedWindow {
    const char* name;
    Window window;
};

/// soft-tissue (= abdomen) 40/400, lung -600/1500, bone 400/1800, brain 40/80, mediastinum 50/350, liver 60/160,
/// stroke 40/40, angiography 300/600.
const std::vector<NamedWindow>& namedWindows();
/// Case, spaces, '-' and '_' do not matter: "Soft Tissue" finds soft-tissue.
std::optional<Window> findWindow(std::string_view name);
/// A known name, or "LEVEL/WIDTH" such as "-600/1500". Throws UsageError that lists the known names.
Window parseWindow(const std::string& text);

/// Smallest and largest finite value; {0, 0} when there is none.
struct ValueRange {
    double low = 0;
    double high = 0;
};
template <typename T>
ValueRange finiteRange(std::span<const T> values);

/// Which values a statistic looks at; NaN and infinities are never looked at.
enum class Selection { All, Positive };

/// Percentiles (0..100) with numpy's default linear interpolation between order statistics. Empty selections give 0 for
/// each. Integers of at most 16 bits are counted in a histogram; other types copy the selected values (at most one
/// copy of the input). Throws UsageError if a percentile is outside 0..100.
template <typename T>
std::vector<double> percentiles(std::span<const T> values, std::span<const double> percents,
                                Selection selection = Selection::All);

struct MeanStd {
    double mean = 0;
    double std = 0;  ///< population standard deviation (ddof 0)
};
/// Of the finite values, in double precision; the same whatever the number of threads. {0, 0} when there is none.
template <typename T>
MeanStd meanAndStd(std::span<const T> values);

/// out = (clip(x, low, high) - low) / (high - low), in [0, 1]; NaN becomes 0. A window without extent gives 0 up to
/// `low` and 1 above it. Throws DataError if the sizes differ.
template <typename T>
void scaleToUnit(std::span<const T> values, double low, double high, std::span<float> out);
template <typename T>
void scaleToUnit(std::span<const T> values, const Window& window, std::span<float> out) {
    scaleToUnit(values, window.low(), window.high(), out);
}

enum class ByteRounding {
    Truncate,  ///< numpy's astype(uint8), what MedSAM does
    HalfEven   ///< numpy's round
};

/// Clips to [clipLow, clipHigh], then out = (x - scaleLow) / (scaleHigh - scaleLow) * 255 as byte, in double precision
/// as numpy does it. MedSAM scales by the range of the clipped volume, which is narrower than the window when the image
/// does not reach its bounds. NaN becomes 0; scaleHigh <= scaleLow gives all zeros.
struct ByteScale {
    double clipLow = 0;
    double clipHigh = 1;
    double scaleLow = 0;
    double scaleHigh = 1;
    ByteRounding rounding = ByteRounding::Truncate;
    bool zeroStaysZero = false;  ///< MedSAM's MR rule: input exactly 0 gives 0
};
template <typename T>
void scaleToBytes(std::span<const T> values, const ByteScale& scale, std::span<std::uint8_t> out);

/// Window bounds are also the scale bounds.
ByteScale windowScale(const Window& window, ByteRounding rounding = ByteRounding::Truncate);
/// MedSAM's CT rule: clip to the window, scale by the range of the clipped whole volume.
template <typename T>
ByteScale medsamCtScale(std::span<const T> values, const Window& window);
/// MedSAM's rule for MR and other modalities: clip to percentiles of the voxels > 0, scale by the range of the clipped
/// whole volume, zeros stay 0.
template <typename T>
ByteScale medsamMrScale(std::span<const T> values, double lowPercent = 0.5, double highPercent = 99.5);

/// out = (x - mean) / max(std, epsilon) with mean and std of all finite values (nnU-Net ZScoreNormalization).
template <typename T>
void zScore(std::span<const T> values, std::span<float> out, double epsilon = 1e-8);

/// nnU-Net CTNormalization: clip to [low, high], subtract mean, divide by max(std, 1e-8).
struct CtNormalization {
    double low = 0;
    double high = 0;
    double mean = 0;
    double std = 1;
};
template <typename T>
void normalizeCt(std::span<const T> values, const CtNormalization& parameters, std::span<float> out);

}  // namespace medseg
