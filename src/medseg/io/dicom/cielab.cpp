#include "medseg/io/dicom/cielab.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace medseg::dicom {
namespace {

/// The inverse of CIE's f(t) (CIE 15:2004, 8.2.1).
double inverseCompanded(double f) {
    constexpr double kKnee = 6.0 / 29;
    return f > kKnee ? f * f * f : 3 * kKnee * kKnee * (f - 4.0 / 29);
}

/// IEC 61966-2-1.
double companded(double linear) {
    return linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
}

}  // namespace

Color fromDicomCieLab(const std::vector<int>& lab) {
    constexpr double kFull = 65535;
    constexpr std::array<double, 3> kWhite{0.96422, 1, 0.82521};  // D50
    const double lightness = lab[0] / kFull * 100, a = lab[1] / kFull * 255 - 128, b = lab[2] / kFull * 255 - 128;
    const double fy = (lightness + 16) / 116;
    const std::array<double, 3> xyz{kWhite[0] * inverseCompanded(fy + a / 500), kWhite[1] * inverseCompanded(fy),
                                    kWhite[2] * inverseCompanded(fy - b / 200)};
    // XYZ of D50, adapted to D65 (Bradford), to linear sRGB.
    constexpr double kToRgb[3][3] = {
        {3.1338561, -1.6168667, -0.4906146}, {-0.9787684, 1.9161415, 0.0334540}, {0.0719453, -0.2289914, 1.4052427}};
    Color color{};
    for (std::size_t channel = 0; channel < 3; ++channel) {
        double linear = 0;
        for (std::size_t i = 0; i < 3; ++i) linear += kToRgb[channel][i] * xyz[i];
        color[channel] = static_cast<std::uint8_t>(std::lround(255 * companded(std::clamp(linear, 0.0, 1.0))));
    }
    return color;
}

}  // namespace medseg::dicom
