#include "medseg/imaging/resize_opencv.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/cubic_kernel.h"

namespace medseg {
namespace {

// Taps of one axis: `count` input indices and weights an output pixel.
struct Taps {
    int count = 1;
    std::vector<std::int64_t> index;
    std::vector<double> weight;
};

Taps emptyTaps(std::int64_t m, int count) {
    return {count, std::vector<std::int64_t>(m * count, 0), std::vector<double>(m * count, 0.0)};
}

Taps nearestTaps(std::int64_t n, std::int64_t m, bool exact) {
    Taps taps = emptyTaps(m, 1);
    const double scale = 1.0 / (static_cast<double>(m) / static_cast<double>(n));
    const std::int64_t step = ((n << 16) + m / 2) / m, start = step / 2 - n % 2;
    for (std::int64_t i = 0; i < m; ++i) {
        const std::int64_t at =
            exact ? (step * i + start) >> 16 : static_cast<std::int64_t>(std::floor(static_cast<double>(i) * scale));
        taps.index[i] = std::clamp<std::int64_t>(at, 0, n - 1);
        taps.weight[i] = 1;
    }
    return taps;
}

// Lanczos window of 4 lobes at the taps -3..4 around position t.
std::array<double, 8> lanczosWeights(double t) {
    std::array<double, 8> weights{};
    double sum = 0;
    for (int i = 0; i < 8; ++i) {
        const double x = (t + 3 - i) * std::numbers::pi;
        weights[i] = std::abs(x) < 1e-6 ? 1.0 : std::sin(x) * std::sin(x / 4) / (x * x / 4);
        sum += weights[i];
    }
    for (double& weight : weights) weight /= sum;
    return weights;
}

enum class Kernel { Linear, LinearOfArea, Cubic, Lanczos };

Taps kernelTaps(std::int64_t n, std::int64_t m, Kernel kernel) {
    const int count = kernel == Kernel::Cubic ? 4 : kernel == Kernel::Lanczos ? 8 : 2;
    Taps taps = emptyTaps(m, count);
    const double inverse = static_cast<double>(m) / static_cast<double>(n), scale = 1.0 / inverse;
    for (std::int64_t i = 0; i < m; ++i) {
        double position = (static_cast<double>(i) + 0.5) * scale - 0.5;
        auto low = static_cast<std::int64_t>(std::floor(position));
        double t = position - static_cast<double>(low);
        if (kernel == Kernel::LinearOfArea) {
            low = static_cast<std::int64_t>(std::floor(static_cast<double>(i) * scale));
            t = static_cast<double>(i + 1) - static_cast<double>(low + 1) * inverse;
            t = t <= 0 ? 0 : t - std::floor(t);
        }
        if (count == 2 && low < 0) low = 0, t = 0;
        if (count == 2 && low >= n - 1) low = n - 1, t = 0;
        double* weight = taps.weight.data() + i * count;
        if (kernel == Kernel::Cubic) {
            const auto w = cubicWeights(t, -0.75);
            std::copy(w.begin(), w.end(), weight);
        } else if (kernel == Kernel::Lanczos) {
            const auto w = lanczosWeights(t);
            std::copy(w.begin(), w.end(), weight);
        } else {
            weight[0] = 1 - t;
            weight[1] = t;
        }
        const std::int64_t first = low - (count / 2 - 1);
        for (int k = 0; k < count; ++k) taps.index[i * count + k] = std::clamp<std::int64_t>(first + k, 0, n - 1);
    }
    return taps;
}

// Shares of the input pixels in the stretch that each output pixel covers.
Taps areaTaps(std::int64_t n, std::int64_t m) {
    const double scale = static_cast<double>(n) / static_cast<double>(m);
    Taps taps = emptyTaps(m, static_cast<int>(std::ceil(scale)) + 2);
    for (std::int64_t i = 0; i < m; ++i) {
        const double begin = static_cast<double>(i) * scale, end = begin + scale;
        const double width = std::min(scale, static_cast<double>(n) - begin);
        std::int64_t last = std::min(static_cast<std::int64_t>(std::floor(end)), n - 1);
        std::int64_t first = std::min(static_cast<std::int64_t>(std::ceil(begin)), last);
        int k = 0;
        const auto add = [&](std::int64_t index, double share) {
            taps.index[i * taps.count + k] = index;
            taps.weight[i * taps.count + k++] = share;
        };
        // Slivers below a thousandth of a pixel are left out, as in OpenCV.
        if (static_cast<double>(first) - begin > 1e-3) add(first - 1, (static_cast<double>(first) - begin) / width);
        for (std::int64_t j = first; j < last; ++j) add(j, 1 / width);
        if (end - static_cast<double>(last) > 1e-3)
            add(last, std::min(std::min(end - static_cast<double>(last), 1.0), width) / width);
    }
    return taps;
}

Kernel kernelOf(OpenCvResize interpolation) {
    switch (interpolation) {
        case OpenCvResize::Cubic:
            return Kernel::Cubic;
        case OpenCvResize::Lanczos4:
            return Kernel::Lanczos;
        case OpenCvResize::Area:
            return Kernel::LinearOfArea;
        default:
            return Kernel::Linear;
    }
}

struct Plan {
    Taps x, y;
    bool area = false;
    bool copies = false;  ///< nearest: values are copied
};

Plan planFor(OpenCvResize interpolation, std::int64_t width, std::int64_t height, std::int64_t outWidth,
             std::int64_t outHeight) {
    if (interpolation == OpenCvResize::Nearest || interpolation == OpenCvResize::NearestExact) {
        const bool exact = interpolation == OpenCvResize::NearestExact;
        return {nearestTaps(width, outWidth, exact), nearestTaps(height, outHeight, exact), false, true};
    }
    const bool halves = width == 2 * outWidth && height == 2 * outHeight;
    const bool shrinks = width >= outWidth && height >= outHeight;
    if ((interpolation == OpenCvResize::Area && shrinks) || (interpolation == OpenCvResize::Linear && halves))
        return {areaTaps(width, outWidth), areaTaps(height, outHeight), true, false};
    const Kernel kernel = kernelOf(interpolation);
    return {kernelTaps(width, outWidth, kernel), kernelTaps(height, outHeight, kernel), false, false};
}

template <typename In, typename Out>
void requireCompatible(const In& in, const Out& out) {
    if (in.data == nullptr || in.width <= 0 || in.height <= 0 || out.data == nullptr || out.width <= 0 ||
        out.height <= 0)
        throw DataError(
            fmt::format("cannot resize an image of {}x{} pixels to {}x{}", in.width, in.height, out.width, out.height));
    if (in.channels != out.channels || in.channels < 1)
        throw DataError(fmt::format("cannot resize {} channels into {}", in.channels, out.channels));
}

// Sums along x of one input row, in type Sum with weights of type Weight.
template <typename T, typename Weight, typename Sum>
void sumRow(const T* row, const Taps& taps, const std::vector<Weight>& weights, std::int64_t width, int channels,
            Sum* out) {
    for (std::int64_t x = 0; x < width; ++x)
        for (int c = 0; c < channels; ++c) {
            Sum sum = 0;
            for (int k = 0; k < taps.count; ++k)
                sum +=
                    static_cast<Sum>(row[taps.index[x * taps.count + k] * channels + c]) * weights[x * taps.count + k];
            out[x * channels + c] = sum;
        }
}

// Runs both axes: all input rows through x (in parallel), then output rows through finish(rows, weights, pixel count,
// out).
template <typename T, typename Weight, typename Sum, typename Finish>
void resizeWith(const PixelView<const T>& in, const PixelView<T>& out, const Plan& plan,
                const std::vector<Weight>& weightsX, const std::vector<Weight>& weightsY, const Finish& finish) {
    const std::int64_t rowLength = out.width * out.channels;
    std::vector<Sum> sums(in.height * rowLength);
    parallelFor(0, in.height, 16, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t y = first; y < last; ++y)
            sumRow(in.data + y * in.width * in.channels, plan.x, weightsX, out.width, in.channels,
                   sums.data() + y * rowLength);
    });
    parallelFor(0, out.height, 16, [&](std::int64_t first, std::int64_t last) {
        std::vector<const Sum*> rows(plan.y.count);
        for (std::int64_t y = first; y < last; ++y) {
            for (int k = 0; k < plan.y.count; ++k)
                rows[k] = sums.data() + plan.y.index[y * plan.y.count + k] * rowLength;
            finish(rows, weightsY.data() + y * plan.y.count, rowLength, out.data + y * rowLength);
        }
    });
}

template <typename T>
void copyNearest(const PixelView<const T>& in, const PixelView<T>& out, const Plan& plan) {
    for (std::int64_t y = 0; y < out.height; ++y) {
        const T* row = in.data + plan.y.index[y] * in.width * in.channels;
        T* target = out.data + y * out.width * out.channels;
        for (std::int64_t x = 0; x < out.width; ++x)
            std::copy_n(row + plan.x.index[x] * in.channels, in.channels, target + x * out.channels);
    }
}

std::vector<int> fixedWeights(const Taps& taps, int bits) {
    std::vector<int> result(taps.weight.size());
    const double one = 1 << bits;
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<int>(std::lrint(taps.weight[i] * one));
    return result;
}

std::uint8_t toByte(std::int64_t value) {
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(value, 0, 255));
}

// Two taps whose weights have 8 bits and add up to one exactly.
std::vector<int> exactWeights(const Taps& taps) {
    std::vector<int> result = fixedWeights(taps, 8);
    for (std::size_t i = 0; i < result.size(); i += 2) result[i] = 256 - result[i + 1];
    return result;
}

}  // namespace

OpenCvResize openCvResizeFromName(const std::string& name) {
    if (name == "INTER_NEAREST") return OpenCvResize::Nearest;
    if (name == "INTER_NEAREST_EXACT") return OpenCvResize::NearestExact;
    if (name == "INTER_LINEAR") return OpenCvResize::Linear;
    if (name == "INTER_LINEAR_EXACT") return OpenCvResize::LinearExact;
    if (name == "INTER_CUBIC") return OpenCvResize::Cubic;
    if (name == "INTER_AREA") return OpenCvResize::Area;
    if (name == "INTER_LANCZOS4") return OpenCvResize::Lanczos4;
    throw UsageError(fmt::format("unknown interpolation '{}'", name));
}

void resizeOpenCv(PixelView<const float> in, OpenCvResize interpolation, PixelView<float> out) {
    requireCompatible(in, out);
    const Plan plan = planFor(interpolation, in.width, in.height, out.width, out.height);
    if (plan.copies) return copyNearest(in, out, plan);
    resizeWith<float, double, double>(in, out, plan, plan.x.weight, plan.y.weight,
                                      [](const auto& rows, const double* weights, std::int64_t count, float* target) {
                                          for (std::int64_t i = 0; i < count; ++i) {
                                              double sum = 0;
                                              for (std::size_t k = 0; k < rows.size(); ++k)
                                                  sum += rows[k][i] * weights[k];
                                              target[i] = static_cast<float>(sum);
                                          }
                                      });
}

void resizeOpenCv(PixelView<const std::uint8_t> in, OpenCvResize interpolation, PixelView<std::uint8_t> out) {
    requireCompatible(in, out);
    const Plan plan = planFor(interpolation, in.width, in.height, out.width, out.height);
    if (plan.copies) return copyNearest(in, out, plan);
    if (plan.area) {
        const bool halves = in.width == 2 * out.width && in.height == 2 * out.height;
        resizeWith<std::uint8_t, double, double>(
            in, out, plan, plan.x.weight, plan.y.weight,
            [halves](const auto& rows, const double* weights, std::int64_t count, std::uint8_t* target) {
                for (std::int64_t i = 0; i < count; ++i) {
                    double sum = 0;
                    for (std::size_t k = 0; k < rows.size(); ++k) sum += rows[k][i] * weights[k];
                    // A mean of four is rounded up at .5, other means to even.
                    target[i] = toByte(halves ? static_cast<std::int64_t>(sum + 0.5) : std::llrint(sum));
                }
            });
        return;
    }
    if (interpolation == OpenCvResize::LinearExact) {
        resizeWith<std::uint8_t, int, std::int64_t>(
            in, out, plan, exactWeights(plan.x), exactWeights(plan.y),
            [](const auto& rows, const int* weights, std::int64_t count, std::uint8_t* target) {
                for (std::int64_t i = 0; i < count; ++i)
                    target[i] = toByte((rows[0][i] * weights[0] + rows[1][i] * weights[1] + (1 << 15)) >> 16);
            });
        return;
    }
    const bool linear = plan.x.count == 2;
    resizeWith<std::uint8_t, int, std::int64_t>(
        in, out, plan, fixedWeights(plan.x, 11), fixedWeights(plan.y, 11),
        [linear](const auto& rows, const int* weights, std::int64_t count, std::uint8_t* target) {
            for (std::int64_t i = 0; i < count; ++i) {
                if (linear) {
                    const std::int64_t sum =
                        ((weights[0] * (rows[0][i] >> 4)) >> 16) + ((weights[1] * (rows[1][i] >> 4)) >> 16);
                    target[i] = toByte((sum + 2) >> 2);
                } else {
                    std::int64_t sum = 1 << 21;
                    for (std::size_t k = 0; k < rows.size(); ++k) sum += rows[k][i] * weights[k];
                    target[i] = toByte(sum >> 22);
                }
            }
        });
}

}  // namespace medseg
