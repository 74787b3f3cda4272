#include "medseg/dataset/plane_transform.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "medseg/dataset/augmentation.h"
#include "medseg/dataset/spline_weights.h"

namespace medseg {
namespace {

/// Buffers that a loading thread uses again for every slice.
struct Scratch {
    std::vector<float> image;           ///< one channel with a border of zeros
    std::vector<std::uint16_t> labels;  ///< one layer with the same border
    std::vector<float> x, y, tx, ty;    ///< source positions of one row
    std::vector<std::int32_t> offset;   ///< of the upper left of the four neighbours, all rows
    std::vector<std::int32_t> nearest;
    std::vector<float> weights;  ///< tx and ty of all rows
};

/// One pixel before and two after each line: positions clamped to [-1, n] read zeros outside.
struct Border {
    std::int64_t height, width, stride;
    Border(std::int64_t h, std::int64_t w) : height(h), width(w), stride(w + 3) {}
    std::size_t size() const { return static_cast<std::size_t>((height + 3) * stride); }

    template <typename T>
    void fill(const T* source, std::vector<T>& padded) const {
        padded.assign(size(), T{0});
        for (std::int64_t row = 0; row < height; ++row)
            std::copy_n(source + row * width, width, padded.data() + (row + 1) * stride + 1);
    }
};

/// Where each output pixel comes from, as offsets into a bordered plane.
void locateRow(const Border& border, const PlaneMap& map, const SmoothDisplacement* displacement, std::int64_t row,
               Scratch& s) {
    const std::int64_t width = border.width;
    const auto v = static_cast<double>(row);
    const auto x0 = static_cast<float>(map[1] * v + map[2]), y0 = static_cast<float>(map[4] * v + map[5]);
    const auto stepX = static_cast<float>(map[0]), stepY = static_cast<float>(map[3]);
    float *x = s.x.data(), *y = s.y.data();
    for (std::int64_t i = 0; i < width; ++i) {
        x[i] = x0 + stepX * static_cast<float>(i);
        y[i] = y0 + stepY * static_cast<float>(i);
    }
    if (displacement != nullptr) displacement->addRow(row, x, y);
    const auto mostX = static_cast<float>(width), mostY = static_cast<float>(border.height);
    const auto stride = static_cast<std::int32_t>(border.stride);
    std::int32_t *offset = s.offset.data() + row * width, *nearest = s.nearest.data() + row * width;
    float *tx = s.weights.data() + 2 * row * width, *ty = tx + width;
    for (std::int64_t i = 0; i < width; ++i) {
        // In bordered coordinates positions are not negative: truncation is floor.
        const float px = std::min(std::max(x[i], -1.0F), mostX) + 1, py = std::min(std::max(y[i], -1.0F), mostY) + 1;
        const auto column = static_cast<std::int32_t>(px), line = static_cast<std::int32_t>(py);
        tx[i] = px - static_cast<float>(column);
        ty[i] = py - static_cast<float>(line);
        offset[i] = line * stride + column;
        nearest[i] = static_cast<std::int32_t>(py + 0.5F) * stride + static_cast<std::int32_t>(px + 0.5F);
    }
}

void sampleImage(const float* padded, const Border& border, const Scratch& s, float* out) {
    const std::int64_t width = border.width, stride = border.stride;
    for (std::int64_t row = 0; row < border.height; ++row, out += width) {
        const std::int32_t* offset = s.offset.data() + row * width;
        const float *tx = s.weights.data() + 2 * row * width, *ty = tx + width;
#pragma GCC ivdep
        for (std::int64_t i = 0; i < width; ++i) {
            const float* corner = padded + offset[i];
            const float upper = corner[0] + tx[i] * (corner[1] - corner[0]);
            const float lower = corner[stride] + tx[i] * (corner[stride + 1] - corner[stride]);
            out[i] = upper + ty[i] * (lower - upper);
        }
    }
}

}  // namespace

PlaneMap planeMap(std::int64_t height, std::int64_t width, double degrees, double zoom, double dx, double dy,
                  bool flipX, bool flipY) {
    const double angle = degrees * std::numbers::pi / 180, c = std::cos(angle) / zoom, s = std::sin(angle) / zoom;
    const double cx = 0.5 * static_cast<double>(width - 1), cy = 0.5 * static_cast<double>(height - 1);
    const double signX = flipX ? -1 : 1, signY = flipY ? -1 : 1;
    PlaneMap map{signX * c, -signX * s, 0, signY * s, signY * c, 0};
    map[2] = cx - map[0] * (cx + dx) - map[1] * (cy + dy);
    map[5] = cy - map[3] * (cx + dx) - map[4] * (cy + dy);
    return map;
}

SmoothDisplacement::SmoothDisplacement(std::int64_t height, std::int64_t width, double spacing, double amplitude,
                                       Random& random)
    : width_(width), spacing_(std::max(2.0, spacing)) {
    gridRows_ = static_cast<std::int64_t>(static_cast<double>(height - 1) / spacing_) + 4;
    const auto gridColumns = static_cast<std::int64_t>(static_cast<double>(width - 1) / spacing_) + 4;
    const double limit = std::min(amplitude, 0.4 * spacing_);
    std::vector<double> line(static_cast<std::size_t>(gridColumns));
    columns_.resize(static_cast<std::size_t>(2 * gridRows_ * width));
    float* out = columns_.data();
    for (std::int64_t gridRow = 0; gridRow < 2 * gridRows_; ++gridRow) {
        for (double& value : line) value = random.uniform(-limit, limit);
        for (std::int64_t column = 0; column < width; ++column) {
            const double position = static_cast<double>(column) / spacing_;
            const auto first = static_cast<std::size_t>(position);
            const auto w = cubicSplineWeights(position - static_cast<double>(first));
            *out++ = static_cast<float>(w[0] * line[first] + w[1] * line[first + 1] + w[2] * line[first + 2] +
                                        w[3] * line[first + 3]);
        }
    }
}

void SmoothDisplacement::addRow(std::int64_t row, float* x, float* y) const {
    const double position = static_cast<double>(row) / spacing_;
    const auto first = static_cast<std::int64_t>(position);
    const auto weights = cubicSplineWeights(position - static_cast<double>(first));
    for (int k = 0; k < 4; ++k) {
        const auto weight = static_cast<float>(weights[static_cast<std::size_t>(k)]);
        const float* dx = columns_.data() + (first + k) * width_;
        const float* dy = dx + gridRows_ * width_;
        for (std::int64_t i = 0; i < width_; ++i) {
            x[i] += weight * dx[i];
            y[i] += weight * dy[i];
        }
    }
}

void transformPlane(SliceSample& sample, const PlaneMap& map, const SmoothDisplacement* displacement) {
    thread_local Scratch scratch;
    const std::int64_t height = sample.height, width = sample.width, pixels = height * width;
    const Border border(height, width);
    const auto count = static_cast<std::size_t>(pixels);
    scratch.x.resize(static_cast<std::size_t>(width));
    scratch.y.resize(static_cast<std::size_t>(width));
    scratch.offset.resize(count);
    scratch.nearest.resize(count);
    scratch.weights.resize(2 * count);
    for (std::int64_t row = 0; row < height; ++row) locateRow(border, map, displacement, row, scratch);
    for (int channel = 0; channel < sample.channels; ++channel) {
        float* plane = sample.image.data() + channel * pixels;
        border.fill(plane, scratch.image);
        sampleImage(scratch.image.data(), border, scratch, plane);
    }
    for (int layer = 0; layer < sample.layers; ++layer) {
        std::uint16_t* plane = sample.labels.data() + layer * pixels;
        border.fill(plane, scratch.labels);
        for (std::size_t i = 0; i < count; ++i) plane[i] = scratch.labels[static_cast<std::size_t>(scratch.nearest[i])];
    }
}

}  // namespace medseg
