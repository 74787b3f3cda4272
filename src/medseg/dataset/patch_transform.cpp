#include "medseg/dataset/patch_transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <span>

#include "medseg/dataset/spline_weights.h"
#include "medseg/io/half_float.h"

namespace medseg {
namespace {

using Matrix = std::array<Vec3, 3>;

Matrix product(const Matrix& a, const Matrix& b) {
    Matrix result{};
    for (std::size_t i = 0; i < 3; ++i)
        for (std::size_t j = 0; j < 3; ++j)
            for (std::size_t k = 0; k < 3; ++k) result[i][j] += a[i][k] * b[k][j];
    return result;
}

/// Right-handed rotation about a coordinate axis.
Matrix rotationAbout(std::size_t axis, double degrees) {
    const double angle = degrees * std::numbers::pi / 180, c = std::cos(angle), s = std::sin(angle);
    const std::size_t u = (axis + 1) % 3, v = (axis + 2) % 3;
    Matrix m{};
    m[axis][axis] = 1;
    m[u][u] = m[v][v] = c;
    m[u][v] = -s;
    m[v][u] = s;
    return m;
}

std::int64_t voxelsIn(const Index3& size) {
    return size[0] * size[1] * size[2];
}

/// Part of the volume as floats or labels, with zeros where it reaches over the border.
struct Box {
    Index3 low{}, size{};

    std::int64_t rowStride() const { return size[0]; }
    std::int64_t planeStride() const { return size[0] * size[1]; }

    /// Calls copy(source voxel, target voxel, count) for each stretch of a row that lies in the volume.
    template <typename Copy>
    void forEachRow(const Index3& volume, Copy&& copy) const {
        const std::int64_t x0 = std::max<std::int64_t>(0, low[0]), x1 = std::min(volume[0], low[0] + size[0]);
        if (x0 >= x1) return;
        for (std::int64_t z = std::max<std::int64_t>(0, low[2]); z < std::min(volume[2], low[2] + size[2]); ++z)
            for (std::int64_t y = std::max<std::int64_t>(0, low[1]); y < std::min(volume[1], low[1] + size[1]); ++y)
                copy(x0 + volume[0] * (y + volume[1] * z),
                     (x0 - low[0]) + size[0] * ((y - low[1]) + size[1] * (z - low[2])), x1 - x0);
    }
};

void readImageBox(const VolumeCache& cache, std::int64_t volume, const Box& box, std::vector<float>& out) {
    out.assign(static_cast<std::size_t>(voxelsIn(box.size)), 0.0F);
    const std::uint16_t* half = cache.imageHalf(volume).data();
    box.forEachRow(cache.caseAt(volume).grid.size(), [&](std::int64_t from, std::int64_t to, std::int64_t count) {
        std::transform(half + from, half + from + count, out.data() + to, halfToFloat);
    });
}

/// `out` holds the box's voxels; zeros where there is no such layer.
void readLabelBox(const VolumeCache& cache, std::int64_t volume, int layer, const Box& box, std::uint16_t* out) {
    std::fill_n(out, voxelsIn(box.size), std::uint16_t{0});
    const auto bytes = cache.labelBytes(volume, layer);
    if (bytes.empty()) return;
    const bool wide = cache.format().labelBytes() == 2;
    box.forEachRow(cache.caseAt(volume).grid.size(), [&](std::int64_t from, std::int64_t to, std::int64_t count) {
        if (wide)
            std::memcpy(out + to, bytes.data() + 2 * from, static_cast<std::size_t>(2 * count));
        else
            std::copy_n(bytes.data() + from, count, out + to);
    });
}

void prepareSample(const VolumeCache& cache, const Index3& size, PatchSample& sample) {
    const auto voxels = static_cast<std::size_t>(voxelsIn(size));
    sample.size = size;
    sample.layers = cache.layerCount();
    sample.image.resize(voxels);
    sample.labels.resize(voxels * static_cast<std::size_t>(sample.layers));
}

/// The part of the volume that the mapped patch reads: positions are clamped to [-1, n], where the border of zeros is,
/// and one voxel more serves as the upper neighbour.
Box mappedBox(const Index3& volume, const Index3& patch, const PatchMap& map, double margin) {
    Box box;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        double low = map[axis][3], high = map[axis][3];
        for (std::size_t k = 0; k < 3; ++k) {
            const double reach = map[axis][k] * static_cast<double>(patch[k] - 1);
            low += std::min(reach, 0.0);
            high += std::max(reach, 0.0);
        }
        const auto end = static_cast<double>(volume[axis]);
        // A hundredth of a voxel for what rounding to float adds.
        box.low[axis] = static_cast<std::int64_t>(std::floor(std::clamp(low - margin - 0.01, -1.0, end)));
        const auto last = static_cast<std::int64_t>(std::ceil(std::clamp(high + margin + 0.01, -1.0, end)));
        box.size[axis] = last - box.low[axis] + 2;
    }
    return box;
}

/// Buffers that a loading thread uses again for every patch.
struct Scratch {
    std::vector<float> image;
    std::vector<std::uint16_t> labels;
    std::vector<float> x, y, z;        ///< source positions of one row
    std::vector<std::int32_t> offset;  ///< of the lowest of the eight neighbours
    std::vector<std::int32_t> nearest;
};

/// Turns the positions of a row into offsets within the box and shares of the way to the next voxel (left in x, y, z).
void locateRow(const Index3& volume, const Box& box, std::int64_t width, Scratch& s) {
    const auto endX = static_cast<float>(volume[0]), endY = static_cast<float>(volume[1]),
               endZ = static_cast<float>(volume[2]);
    const auto lowX = static_cast<float>(box.low[0]), lowY = static_cast<float>(box.low[1]),
               lowZ = static_cast<float>(box.low[2]);
    const auto row = static_cast<std::int32_t>(box.rowStride()), plane = static_cast<std::int32_t>(box.planeStride());
    float *x = s.x.data(), *y = s.y.data(), *z = s.z.data();
    for (std::int64_t i = 0; i < width; ++i) {
        // Relative to the box positions are not negative: truncation is floor.
        const float px = std::min(std::max(x[i], -1.0F), endX) - lowX,
                    py = std::min(std::max(y[i], -1.0F), endY) - lowY,
                    pz = std::min(std::max(z[i], -1.0F), endZ) - lowZ;
        const auto ix = static_cast<std::int32_t>(px), iy = static_cast<std::int32_t>(py),
                   iz = static_cast<std::int32_t>(pz);
        s.offset[static_cast<std::size_t>(i)] = ix + iy * row + iz * plane;
        s.nearest[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(px + 0.5F) +
                                                 static_cast<std::int32_t>(py + 0.5F) * row +
                                                 static_cast<std::int32_t>(pz + 0.5F) * plane;
        x[i] = px - static_cast<float>(ix);
        y[i] = py - static_cast<float>(iy);
        z[i] = pz - static_cast<float>(iz);
    }
}

void sampleRow(const float* image, const Box& box, std::int64_t width, const Scratch& s, float* out) {
    const std::int64_t row = box.rowStride(), plane = box.planeStride();
    const float *tx = s.x.data(), *ty = s.y.data(), *tz = s.z.data();
    const std::int32_t* offset = s.offset.data();
#pragma GCC ivdep
    for (std::int64_t i = 0; i < width; ++i) {
        const float* a = image + offset[i];
        const float* b = a + plane;
        const float a0 = a[0] + tx[i] * (a[1] - a[0]), a1 = a[row] + tx[i] * (a[row + 1] - a[row]);
        const float b0 = b[0] + tx[i] * (b[1] - b[0]), b1 = b[row] + tx[i] * (b[row + 1] - b[row]);
        const float lower = a0 + ty[i] * (a1 - a0), upper = b0 + ty[i] * (b1 - b0);
        out[i] = lower + tz[i] * (upper - lower);
    }
}

}  // namespace

PatchMap patchMap(const PatchPlace& place, const Index3& size, const Vec3& spacing, const PatchPose& pose) {
    Matrix turn = product(rotationAbout(2, pose.degrees[2]),
                          product(rotationAbout(1, pose.degrees[1]), rotationAbout(0, pose.degrees[0])));
    PatchMap map{};
    for (std::size_t i = 0; i < 3; ++i) {
        const double centre = 0.5 * static_cast<double>(size[i] - 1);
        map[i][3] = static_cast<double>(place.start[i]) + centre;
        for (std::size_t k = 0; k < 3; ++k) {
            const double sign = pose.flip[i] ? -1 : 1;
            map[i][k] = sign * turn[i][k] * spacing[k] / spacing[i] / pose.zoom;
            map[i][3] -= map[i][k] * (0.5 * static_cast<double>(size[k] - 1) + pose.shift[k]);
        }
    }
    return map;
}

VolumeDisplacement::VolumeDisplacement(const Index3& size, double spacing, double amplitude, Random& random)
    : width_(size[0]), spacing_(std::max(2.0, spacing)), limit_(std::min(amplitude, 0.4 * spacing_)) {
    const auto controls = [&](std::int64_t n) {
        return static_cast<std::int64_t>(static_cast<double>(n - 1) / spacing_) + 4;
    };
    gridRows_ = controls(size[1]);
    gridPlanes_ = controls(size[2]);
    std::vector<double> line(static_cast<std::size_t>(controls(width_)));
    lines_.resize(static_cast<std::size_t>(3 * gridPlanes_ * gridRows_ * width_));
    float* out = lines_.data();
    for (std::int64_t number = 0; number < 3 * gridPlanes_ * gridRows_; ++number) {
        for (double& value : line) value = random.uniform(-limit_, limit_);
        for (std::int64_t x = 0; x < width_; ++x) {
            const double position = static_cast<double>(x) / spacing_;
            const auto first = static_cast<std::size_t>(position);
            const auto w = cubicSplineWeights(position - static_cast<double>(first));
            *out++ = static_cast<float>(w[0] * line[first] + w[1] * line[first + 1] + w[2] * line[first + 2] +
                                        w[3] * line[first + 3]);
        }
    }
}

void VolumeDisplacement::addRow(std::int64_t row, std::int64_t plane, float* x, float* y, float* z) const {
    const double atRow = static_cast<double>(row) / spacing_, atPlane = static_cast<double>(plane) / spacing_;
    const auto firstRow = static_cast<std::int64_t>(atRow), firstPlane = static_cast<std::int64_t>(atPlane);
    const auto rowWeights = cubicSplineWeights(atRow - static_cast<double>(firstRow));
    const auto planeWeights = cubicSplineWeights(atPlane - static_cast<double>(firstPlane));
    const std::int64_t component = gridPlanes_ * gridRows_ * width_;
    for (std::int64_t p = 0; p < 4; ++p)
        for (std::int64_t r = 0; r < 4; ++r) {
            const auto weight =
                static_cast<float>(planeWeights[static_cast<std::size_t>(p)] * rowWeights[static_cast<std::size_t>(r)]);
            const float* dx = lines_.data() + ((firstPlane + p) * gridRows_ + firstRow + r) * width_;
            const float *dy = dx + component, *dz = dy + component;
            for (std::int64_t i = 0; i < width_; ++i) {
                x[i] += weight * dx[i];
                y[i] += weight * dy[i];
                z[i] += weight * dz[i];
            }
        }
}

void readPatch(const VolumeCache& cache, const PatchPlace& place, const Index3& size, PatchSample& sample) {
    prepareSample(cache, size, sample);
    const Box box{place.start, size};
    readImageBox(cache, place.volume, box, sample.image);
    for (int layer = 0; layer < sample.layers; ++layer)
        readLabelBox(cache, place.volume, layer, box, sample.labels.data() + layer * voxelsIn(size));
}

void readPatch(const VolumeCache& cache, std::int64_t volume, const Index3& size, const PatchMap& map,
               const VolumeDisplacement* displacement, PatchSample& sample) {
    thread_local Scratch scratch;
    prepareSample(cache, size, sample);
    const Index3& whole = cache.caseAt(volume).grid.size();
    const Box box = mappedBox(whole, size, map, displacement != nullptr ? displacement->limit() : 0);
    readImageBox(cache, volume, box, scratch.image);
    const std::int64_t boxVoxels = voxelsIn(box.size), patchVoxels = voxelsIn(size), width = size[0];
    scratch.labels.resize(static_cast<std::size_t>(boxVoxels * sample.layers));
    for (int layer = 0; layer < sample.layers; ++layer)
        readLabelBox(cache, volume, layer, box, scratch.labels.data() + layer * boxVoxels);
    for (auto* row : {&scratch.x, &scratch.y, &scratch.z}) row->resize(static_cast<std::size_t>(width));
    scratch.offset.resize(static_cast<std::size_t>(width));
    scratch.nearest.resize(static_cast<std::size_t>(width));
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y) {
            for (std::size_t axis = 0; axis < 3; ++axis) {
                float* position = (axis == 0 ? scratch.x : axis == 1 ? scratch.y : scratch.z).data();
                const auto first = static_cast<float>(map[axis][3] + map[axis][1] * static_cast<double>(y) +
                                                      map[axis][2] * static_cast<double>(z));
                const auto step = static_cast<float>(map[axis][0]);
                for (std::int64_t i = 0; i < width; ++i) position[i] = first + step * static_cast<float>(i);
            }
            if (displacement != nullptr)
                displacement->addRow(y, z, scratch.x.data(), scratch.y.data(), scratch.z.data());
            locateRow(whole, box, width, scratch);
            const std::int64_t start = width * (y + size[1] * z);
            sampleRow(scratch.image.data(), box, width, scratch, sample.image.data() + start);
            for (int layer = 0; layer < sample.layers; ++layer) {
                const std::uint16_t* source = scratch.labels.data() + layer * boxVoxels;
                std::uint16_t* out = sample.labels.data() + layer * patchVoxels + start;
                for (std::int64_t i = 0; i < width; ++i) out[i] = source[scratch.nearest[static_cast<std::size_t>(i)]];
            }
        }
}

}  // namespace medseg
