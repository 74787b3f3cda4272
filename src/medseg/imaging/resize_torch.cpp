#include "medseg/imaging/resize_torch.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/cubic_kernel.h"
#include "medseg/imaging/resample.h"
#include "medseg/imaging/separable.h"

namespace medseg {
namespace {

// Weights of the antialiased filters: a triangle or a cubic that widens with the scale, cut at the borders.
AxisMap antialiasAxis(std::int64_t n, std::int64_t m, double scale, bool cubic) {
    const double stretch = std::max(scale, 1.0);
    const double support = (cubic ? 2.0 : 1.0) * stretch;
    std::vector<std::int64_t> first(m);
    std::vector<std::vector<double>> weights(m);
    for (std::int64_t i = 0; i < m; ++i) {
        const double center = scale * (static_cast<double>(i) + 0.5);
        first[i] = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - support + 0.5));
        const std::int64_t end = std::min(n, static_cast<std::int64_t>(center + support + 0.5));
        double sum = 0;
        for (std::int64_t j = first[i]; j < end; ++j) {
            const double distance = std::abs((static_cast<double>(j) - center + 0.5) / stretch);
            const double weight = cubic ? cubicKernel(distance, -0.5) : std::max(0.0, 1 - distance);
            weights[i].push_back(weight);
            sum += weight;
        }
        for (double& weight : weights[i]) weight /= sum;
    }
    return weightedAxis(n, first, weights);
}

AxisMap areaAxis(std::int64_t n, std::int64_t m) {
    std::vector<std::int64_t> first(m);
    std::vector<std::vector<double>> weights(m);
    for (std::int64_t i = 0; i < m; ++i) {
        first[i] = i * n / m;
        const std::int64_t count = ((i + 1) * n + m - 1) / m - first[i];
        weights[i].assign(count, 1.0 / static_cast<double>(count));
    }
    return weightedAxis(n, first, weights);
}

AxisMap nearestAxis(std::int64_t n, std::int64_t m, double scale, float offset) {
    std::vector<std::int64_t> index(m);
    const auto step = static_cast<float>(scale);
    for (std::int64_t i = 0; i < m; ++i)
        index[i] = std::min(n - 1, static_cast<std::int64_t>(std::floor((static_cast<float>(i) + offset) * step)));
    return gatherAxis(n, index);
}

AxisMap cubicAxis(std::int64_t n, const std::vector<double>& coordinates) {
    std::vector<std::int64_t> first(coordinates.size());
    std::vector<std::vector<double>> weights(coordinates.size());
    // weightedAxis() clamps every index to the line, which is how torch treats its border.
    for (std::size_t i = 0; i < coordinates.size(); ++i) {
        const double low = std::floor(coordinates[i]);
        first[i] = static_cast<std::int64_t>(low) - 1;
        const auto taps = cubicWeights(coordinates[i] - low, -0.75);
        weights[i].assign(taps.begin(), taps.end());
    }
    return weightedAxis(n, first, weights);
}

AxisMap axisFor(std::int64_t n, std::int64_t m, std::optional<double> factor, const TorchResizeOptions& options) {
    const double scale = factor ? 1.0 / *factor : static_cast<double>(n) / static_cast<double>(m);
    switch (options.mode) {
        case TorchResize::Nearest:
            return nearestAxis(n, m, scale, 0.0F);
        case TorchResize::NearestExact:
            return nearestAxis(n, m, scale, 0.5F);
        case TorchResize::Area:
            return areaAxis(n, m);
        default:
            break;
    }
    const bool cubic = options.mode == TorchResize::Cubic;
    if (options.antialias) return antialiasAxis(n, m, scale, cubic);
    // Positions in float, as torch computes them: their rounding shows in the fifth digit of steep images.
    std::vector<double> coordinates(m);
    const float step = !options.alignCorners ? static_cast<float>(scale)
                       : m > 1               ? static_cast<float>(n - 1) / static_cast<float>(m - 1)
                                             : 0.0F;
    for (std::int64_t i = 0; i < m; ++i) {
        const auto position = static_cast<float>(i);
        coordinates[i] = options.alignCorners ? step * position : step * (position + 0.5F) - 0.5F;
    }
    return cubic ? cubicAxis(n, coordinates) : linearAxis(n, coordinates);
}

}  // namespace

Volume<float> resizeTorch(const Volume<float>& volume, const Index3& size, const TorchResizeOptions& options) {
    if (volume.empty()) throw DataError("cannot resize a volume without voxels");
    std::array<AxisMap, 3> maps;
    for (int axis = 0; axis < 3; ++axis) {
        if (size[axis] < 1) throw UsageError(fmt::format("cannot resize to {} voxels", formatSize(size)));
        const auto factor = options.scaleFactors ? std::optional((*options.scaleFactors)[axis]) : std::nullopt;
        const bool same = size[axis] == volume.size()[axis] && (!factor || *factor == 1.0);
        maps[axis] = same ? identityAxis(size[axis]) : axisFor(volume.size()[axis], size[axis], factor, options);
    }
    Volume<float> out(withSize(volume.geometry(), size));
    resampleSeparable(volume.data(), volume.size(), maps, 0.0, out.data());
    return out;
}

}  // namespace medseg
