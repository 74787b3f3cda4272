#include "medseg/imaging/separable.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>

#include "medseg/base/threads.h"
#include "medseg/imaging/convert.h"
#include "medseg/volume/voxel_memory.h"

namespace medseg {
namespace {

constexpr std::int64_t kLanes = 8;

// Fills the padding of `lanes` lines whose samples 0..n-1 stand at rows padding..padding+n-1.
void padLines(double* data, const AxisMap& map, std::int64_t lanes, double fill) {
    double* first = data + map.padding * lanes;
    double* last = first + (map.inputLength - 1) * lanes;
    for (int p = 0; p < map.padding; ++p) {
        double* before = data + p * lanes;
        double* after = last + (p + 1) * lanes;
        for (std::int64_t l = 0; l < lanes; ++l) {
            before[l] = map.padWithFill ? fill : first[l];
            after[l] = map.padWithFill ? fill : last[l];
        }
    }
}

void prepareLines(double* data, const AxisMap& map, std::int64_t lanes, double fill) {
    padLines(data, map, lanes, fill);
    if (map.splineOrder > 1) splinePrefilter(data, map.paddedLength(), lanes, lanes, map.splineOrder, map.splineEnds);
}

// One output sample of `lanes` lines; row(i) is sample i of the lines. Fixed: exactly kLanes lines.
template <bool Fixed, typename Row>
void sampleLines(const AxisMap& map, std::int64_t o, const Row& row, std::int64_t lanes, double fill, double* out) {
    if (!map.outside.empty() && map.outside[o]) {
        std::fill_n(out, lanes, fill);
        return;
    }
    const std::int64_t count = Fixed ? kLanes : lanes;
    const std::int32_t* index = map.index.data() + o * map.taps;
    const double* weight = map.weight.data() + o * map.taps;
    const double constant = map.fillWeight.empty() ? 0.0 : map.fillWeight[o] * fill;
    if (map.taps == 4) {  // cubic: one pass over the lanes
        const auto *a = row(index[0]), *b = row(index[1]), *c = row(index[2]), *d = row(index[3]);
        for (std::int64_t l = 0; l < count; ++l)
            out[l] = constant + weight[0] * a[l] + weight[1] * b[l] + weight[2] * c[l] + weight[3] * d[l];
        return;
    }
    const auto* first = row(index[0]);
    for (std::int64_t l = 0; l < count; ++l) out[l] = constant + weight[0] * first[l];
    for (int t = 1; t < map.taps; ++t) {
        const auto* source = row(index[t]);
        const double w = weight[t];
        for (std::int64_t l = 0; l < count; ++l) out[l] += w * source[l];
    }
}

// Resamples `count` (at most kLanes) rows along x into rows of doubles.
template <typename In>
void resampleRows(const In* in, std::int64_t rowStride, std::int64_t count, const AxisMap& map, double fill,
                  std::vector<double>& scratch, double* out) {
    const std::int64_t mx = map.outputLength;
    if (map.isIdentity()) {
        for (std::int64_t r = 0; r < count; ++r)
            for (std::int64_t x = 0; x < mx; ++x) out[r * mx + x] = static_cast<double>(in[r * rowStride + x]);
        return;
    }
    scratch.resize(map.paddedLength() * kLanes);
    double* samples = scratch.data() + map.padding * kLanes;
    for (std::int64_t l = 0; l < kLanes; ++l) {
        const In* row = in + std::min(l, count - 1) * rowStride;
        for (std::int64_t x = 0; x < map.inputLength; ++x) samples[x * kLanes + l] = static_cast<double>(row[x]);
    }
    prepareLines(scratch.data(), map, kLanes, fill);
    const auto row = [&](std::int64_t i) { return scratch.data() + i * kLanes; };
    std::array<double, kLanes> sampled;
    for (std::int64_t x = 0; x < mx; ++x) {
        sampleLines<true>(map, x, row, kLanes, fill, sampled.data());
        for (std::int64_t l = 0; l < count; ++l) out[l * mx + x] = sampled[l];
    }
}

/// Output rows first..last-1 of a slice or volume.
struct RowBand {
    std::int64_t first, last;
    std::int64_t count() const { return last - first; }
};

// One slice through x and y; only the rows of `band` are sampled, and `out` begins with the first of them.
template <typename In, typename Out>
void resampleSlice(const In* in, std::int64_t inRowStride, const AxisMap& mapX, const AxisMap& mapY, RowBand band,
                   double fill, Out* out, std::int64_t outRowStride) {
    const std::int64_t mx = mapX.outputLength, ny = mapY.inputLength;
    std::vector<double> lanes, line(mx);
    const auto rows = std::make_unique_for_overwrite<double[]>(mapY.paddedLength() * mx);
    double* samples = rows.get() + mapY.padding * mx;
    for (std::int64_t y = 0; y < ny; y += kLanes)
        resampleRows(in + y * inRowStride, inRowStride, std::min(kLanes, ny - y), mapX, fill, lanes, samples + y * mx);
    prepareLines(rows.get(), mapY, mx, fill);
    const auto row = [&](std::int64_t i) { return rows.get() + i * mx; };
    for (std::int64_t y = band.first; y < band.last; ++y) {
        sampleLines<false>(mapY, y, row, mx, fill, line.data());
        for (std::int64_t x = 0; x < mx; ++x) out[(y - band.first) * outRowStride + x] = convertValue<Out>(line[x]);
    }
}

// `in` holds the rows of `band` of every slice; `my` is the number of rows of the output.
template <typename Mid, typename Out>
void resampleThirdAxis(const Mid* in, std::int64_t mx, std::int64_t my, RowBand band, const AxisMap& map, double fill,
                       Out* out) {
    const bool filtered = map.splineOrder > 1;
    parallelFor(band.first, band.last, 1, [&](std::int64_t first, std::int64_t last) {
        std::unique_ptr<double[]> lines;
        if (filtered) lines = std::make_unique_for_overwrite<double[]>(map.paddedLength() * mx);
        std::vector<double> line(mx);
        for (std::int64_t y = first; y < last; ++y) {
            const auto source = [&](std::int64_t z) { return in + (z * band.count() + y - band.first) * mx; };
            if (filtered) {
                for (std::int64_t z = 0; z < map.inputLength; ++z)
                    std::copy_n(source(z), mx, lines.get() + (map.padding + z) * mx);
                prepareLines(lines.get(), map, mx, fill);
            }
            for (std::int64_t z = 0; z < map.outputLength; ++z) {
                if (filtered)
                    sampleLines<false>(
                        map, z, [&](std::int64_t i) { return lines.get() + i * mx; }, mx, fill, line.data());
                else
                    sampleLines<false>(map, z, source, mx, fill, line.data());
                Out* target = out + (z * my + y) * mx;
                for (std::int64_t x = 0; x < mx; ++x) target[x] = convertValue<Out>(line[x]);
            }
        }
    });
}

template <typename T>
constexpr bool kNeedsDouble = std::is_same_v<T, double> || (std::is_integral_v<T> && sizeof(T) >= 4);

AxisMap emptyAxis(std::int64_t inputLength, std::int64_t outputLength, int taps) {
    AxisMap map;
    map.inputLength = inputLength;
    map.outputLength = outputLength;
    map.taps = taps;
    map.index.assign(outputLength * taps, 0);
    map.weight.assign(outputLength * taps, 0.0);
    return map;
}

}  // namespace

bool AxisMap::isIdentity() const {
    if (inputLength != outputLength || taps != 1 || splineOrder > 1 || !fillWeight.empty() || !outside.empty())
        return false;
    for (std::int64_t i = 0; i < outputLength; ++i)
        if (index[i] != i || weight[i] != 1.0) return false;
    return true;
}

AxisMap identityAxis(std::int64_t length) {
    AxisMap map = emptyAxis(length, length, 1);
    for (std::int64_t i = 0; i < length; ++i) {
        map.index[i] = static_cast<std::int32_t>(i);
        map.weight[i] = 1;
    }
    return map;
}

AxisMap splineAxis(std::int64_t n, const std::vector<double>& coordinates, int order, Boundary boundary) {
    AxisMap map = emptyAxis(n, static_cast<std::int64_t>(coordinates.size()), order + 1);
    map.splineOrder = order;
    map.splineEnds = prefilterEnds(boundary);
    map.padding = prefilterPadding(boundary, order);
    map.padWithFill = boundary == Boundary::GridConstant;
    const std::int64_t padded = map.paddedLength();
    // Inside the padded line scipy extends Constant and Wrap by mirroring.
    const Boundary tapBoundary =
        boundary == Boundary::Constant || boundary == Boundary::Wrap ? Boundary::Mirror : boundary;
    if (boundary == Boundary::GridConstant) map.fillWeight.assign(map.outputLength, 0.0);
    for (std::int64_t o = 0; o < map.outputLength; ++o) {
        double x = coordinates[o] + map.padding;
        if (boundary != Boundary::GridConstant) x = mapCoordinate(x, padded, boundary);
        if (boundary == Boundary::Constant && x < 0) {
            if (map.outside.empty()) map.outside.assign(map.outputLength, 0);
            map.outside[o] = 1;
            continue;
        }
        const std::int64_t start = splineStart(x, order);
        const SplineWeights weights = splineWeights(x, order);
        for (int t = 0; t <= order; ++t) {
            const std::int64_t index = mapIndex(start + t, padded, tapBoundary);
            if (index < 0) {
                map.fillWeight[o] += weights[t];
            } else {
                map.index[o * map.taps + t] = static_cast<std::int32_t>(index);
                map.weight[o * map.taps + t] = weights[t];
            }
        }
    }
    return map;
}

AxisMap linearAxis(std::int64_t n, const std::vector<double>& coordinates) {
    AxisMap map = emptyAxis(n, static_cast<std::int64_t>(coordinates.size()), 2);
    for (std::int64_t o = 0; o < map.outputLength; ++o) {
        const double x = std::clamp(coordinates[o], 0.0, static_cast<double>(n - 1));
        const auto start = static_cast<std::int64_t>(std::floor(x));
        map.index[2 * o] = static_cast<std::int32_t>(start);
        map.index[2 * o + 1] = static_cast<std::int32_t>(std::min(start + 1, n - 1));
        map.weight[2 * o + 1] = x - static_cast<double>(start);
        map.weight[2 * o] = 1 - map.weight[2 * o + 1];
    }
    return map;
}

AxisMap gatherAxis(std::int64_t n, const std::vector<std::int64_t>& index) {
    AxisMap map = emptyAxis(n, static_cast<std::int64_t>(index.size()), 1);
    for (std::size_t o = 0; o < index.size(); ++o) {
        map.index[o] = static_cast<std::int32_t>(index[o]);
        map.weight[o] = 1;
    }
    return map;
}

AxisMap weightedAxis(std::int64_t n, const std::vector<std::int64_t>& first,
                     const std::vector<std::vector<double>>& weights) {
    std::size_t taps = 1;
    for (const auto& entry : weights) taps = std::max(taps, entry.size());
    AxisMap map = emptyAxis(n, static_cast<std::int64_t>(first.size()), static_cast<int>(taps));
    for (std::size_t o = 0; o < first.size(); ++o)
        for (std::size_t t = 0; t < weights[o].size(); ++t) {
            const auto index = std::clamp<std::int64_t>(first[o] + static_cast<std::int64_t>(t), 0, n - 1);
            map.index[o * taps + t] = static_cast<std::int32_t>(index);
            map.weight[o * taps + t] = weights[o][t];
        }
    return map;
}

std::vector<double> halfPixelCoordinates(std::int64_t inputLength, std::int64_t outputLength) {
    std::vector<double> result(outputLength);
    const double scale = static_cast<double>(inputLength) / static_cast<double>(outputLength);
    for (std::int64_t i = 0; i < outputLength; ++i) result[i] = (static_cast<double>(i) + 0.5) * scale - 0.5;
    return result;
}

template <typename In, typename Out>
void resampleSeparable(const In* in, const Index3& size, const std::array<AxisMap, 3>& maps, double fill, Out* out,
                       std::int64_t inRowStride, std::int64_t outRowStride) {
    if (inRowStride == 0) inRowStride = size[0];
    if (outRowStride == 0) outRowStride = maps[0].outputLength;
    const std::int64_t inSlice = inRowStride * size[1];
    const std::int64_t mx = maps[0].outputLength, my = maps[1].outputLength, nz = size[2];
    if (maps[2].isIdentity()) {
        parallelForEach(0, nz, [&](std::int64_t z) {
            resampleSlice(in + z * inSlice, inRowStride, maps[0], maps[1], {0, my}, fill, out + z * outRowStride * my,
                          outRowStride);
        });
        return;
    }
    using Mid = std::conditional_t<kNeedsDouble<In> || kNeedsDouble<Out>, double, float>;
    if constexpr (std::is_same_v<In, Mid>) {
        if (maps[0].isIdentity() && maps[1].isIdentity() && inRowStride == mx) {
            resampleThirdAxis(in, mx, my, {0, my}, maps[2], fill, out);
            return;
        }
    }
    // Doubles go in two bands of rows, so that they need no more memory than floats; that repeats the work along x.
    const std::int64_t bands = std::is_same_v<Mid, double> && my > 1 ? 2 : 1;
    const std::int64_t rows = (my + bands - 1) / bands;
    const auto middle = allocateVoxels<Mid>(mx * rows * nz);
    for (std::int64_t first = 0; first < my; first += rows) {
        const RowBand band{first, std::min(first + rows, my)};
        parallelForEach(0, nz, [&](std::int64_t z) {
            resampleSlice(in + z * inSlice, inRowStride, maps[0], maps[1], band, fill,
                          middle.get() + z * mx * band.count(), mx);
        });
        resampleThirdAxis(middle.get(), mx, my, band, maps[2], fill, out);
    }
}

#define MEDSEG_INSTANTIATE(In, Out)                                                                                 \
    template void resampleSeparable<In, Out>(const In*, const Index3&, const std::array<AxisMap, 3>&, double, Out*, \
                                             std::int64_t, std::int64_t);
MEDSEG_INSTANTIATE(std::uint8_t, std::uint8_t)
MEDSEG_INSTANTIATE(std::uint8_t, float)
MEDSEG_INSTANTIATE(std::uint8_t, double)
MEDSEG_INSTANTIATE(std::int8_t, std::int8_t)
MEDSEG_INSTANTIATE(std::uint16_t, std::uint16_t)
MEDSEG_INSTANTIATE(std::int16_t, std::int16_t)
MEDSEG_INSTANTIATE(std::int16_t, float)
MEDSEG_INSTANTIATE(std::uint32_t, std::uint32_t)
MEDSEG_INSTANTIATE(std::int32_t, std::int32_t)
MEDSEG_INSTANTIATE(float, float)
MEDSEG_INSTANTIATE(double, double)
#undef MEDSEG_INSTANTIATE

}  // namespace medseg
