#include "medseg/dataset/sam3d_frame.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/sam3d_volume.h"

namespace medseg {
namespace {

/// Two neighbours along an axis and the weight of the second.
struct Between {
    std::int64_t low = 0, high = 0;
    float share = 0;
};

Between between(double position, std::int64_t count) {
    const double clamped = std::clamp(position, 0.0, static_cast<double>(count - 1));
    const auto low = static_cast<std::int64_t>(clamped);
    return {low, std::min(low + 1, count - 1), static_cast<float>(clamped - static_cast<double>(low))};
}

/// Linear interpolation in a flat array of sizes (a, b, c) with c contiguous.
float interpolate(const float* data, const Index3& size, const Between& a, const Between& b, const Between& c) {
    const auto at = [&](std::int64_t i, std::int64_t j) {
        const float* row = data + (i * size[1] + j) * size[2];
        return row[c.low] + (row[c.high] - row[c.low]) * c.share;
    };
    const float first = at(a.low, b.low) + (at(a.low, b.high) - at(a.low, b.low)) * b.share;
    const float second = at(a.high, b.low) + (at(a.high, b.high) - at(a.high, b.low)) * b.share;
    return first + (second - first) * a.share;
}

/// Size of a volume whose memory order is (i, j, k).
Index3 indexSize(const Volume<float>& volume) {
    return {volume.nz(), volume.ny(), volume.nx()};
}

constexpr double kOutsideShare = 0.1;

/// 6-connected parts of the empty voxels: a number for each voxel (0 = filled), and how many of a part lie on a face.
struct EmptyParts {
    std::vector<std::int32_t> part;
    std::vector<std::int64_t> onFace{0};
};

EmptyParts emptyParts(const std::vector<std::uint8_t>& filled, std::int64_t grid) {
    EmptyParts parts;
    parts.part.assign(filled.size(), 0);
    std::vector<std::int64_t> stack;
    for (std::size_t start = 0; start < filled.size(); ++start) {
        if (filled[start] != 0 || parts.part[start] != 0) continue;
        const auto number = static_cast<std::int32_t>(parts.onFace.size());
        parts.onFace.push_back(0);
        parts.part[start] = number;
        stack.push_back(static_cast<std::int64_t>(start));
        while (!stack.empty()) {
            const std::int64_t voxel = stack.back();
            stack.pop_back();
            const std::array<std::int64_t, 3> at{voxel / (grid * grid), voxel / grid % grid, voxel % grid};
            const std::array<std::int64_t, 3> stride{grid * grid, grid, 1};
            bool face = false;
            for (std::size_t axis = 0; axis < 3; ++axis)
                for (const int direction : {-1, 1}) {
                    const std::int64_t next = at[axis] + direction;
                    if (next < 0 || next >= grid) {
                        face = true;
                        continue;
                    }
                    const auto index = static_cast<std::size_t>(voxel + direction * stride[axis]);
                    if (filled[index] != 0 || parts.part[index] != 0) continue;
                    parts.part[index] = number;
                    stack.push_back(static_cast<std::int64_t>(index));
                }
            if (face) ++parts.onFace[static_cast<std::size_t>(number)];
        }
    }
    return parts;
}

}  // namespace

double OccupancyFrame::toIndex(int axis, double voxel) const {
    return centre[static_cast<std::size_t>(axis)] + ((voxel + 0.5) / static_cast<double>(grid) - 0.5) * side - 0.5;
}

double OccupancyFrame::toFrame(int axis, double index) const {
    return ((index + 0.5 - centre[static_cast<std::size_t>(axis)]) / side + 0.5) * static_cast<double>(grid) - 0.5;
}

OccupancyFrame cropFrame(const Index3& size, std::int64_t grid) {
    OccupancyFrame frame;
    frame.grid = grid;
    frame.side = static_cast<double>(grid);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const std::int64_t first = static_cast<std::int64_t>(std::floor(static_cast<double>(size[axis] - grid) / 2));
        frame.centre[axis] = static_cast<double>(first) + static_cast<double>(grid) / 2;
    }
    return frame;
}

OccupancyFrame objectFrame(const Sam3dSlice& slice, int label, double factor, std::int64_t grid) {
    std::int64_t top = slice.height, bottom = -1, left = slice.width, right = -1;
    for (std::int64_t y = 0; y < slice.height; ++y)
        for (std::int64_t x = 0; x < slice.width; ++x) {
            if (slice.mask[static_cast<std::size_t>(y * slice.width + x)] != label) continue;
            top = std::min(top, y);
            bottom = std::max(bottom, y);
            left = std::min(left, x);
            right = std::max(right, x);
        }
    if (bottom < 0) throw DataError(fmt::format("the slice does not show label {}", label));
    OccupancyFrame frame;
    frame.grid = grid;
    frame.side = factor * static_cast<double>(std::max(bottom - top, right - left) + 1);
    const double row = static_cast<double>(top + bottom + 1) / 2, column = static_cast<double>(left + right + 1) / 2;
    const double depth = static_cast<double>(slice.index) + 0.5;
    // Rows and columns of a slice are the other two axes in ascending order.
    frame.centre = slice.axis == 0   ? Vec3{depth, row, column}
                   : slice.axis == 1 ? Vec3{row, depth, column}
                                     : Vec3{row, column, depth};
    return frame;
}

std::vector<float> distanceInFrame(const Volume<float>& distance, const OccupancyFrame& frame) {
    const Index3 size = indexSize(distance);
    const std::int64_t grid = frame.grid;
    std::vector<float> result(static_cast<std::size_t>(grid * grid * grid));
    const auto scale = static_cast<float>(1 / frame.step());
    parallelForEach(0, grid, [&](std::int64_t x) {
        const Between a = between(frame.toIndex(0, static_cast<double>(x)), size[0]);
        for (std::int64_t y = 0; y < grid; ++y) {
            const Between b = between(frame.toIndex(1, static_cast<double>(y)), size[1]);
            float* row = result.data() + (x * grid + y) * grid;
            for (std::int64_t z = 0; z < grid; ++z)
                row[z] = scale * interpolate(distance.data(), size, a, b,
                                             between(frame.toIndex(2, static_cast<double>(z)), size[2]));
        }
    });
    return result;
}

std::vector<std::uint8_t> occupancyInFrame(const Volume<float>& distance, const OccupancyFrame& frame) {
    const Index3 size = indexSize(distance);
    const std::vector<float> values = distanceInFrame(distance, frame);
    std::vector<std::uint8_t> result(values.size());
    std::array<std::vector<bool>, 3> inside;
    for (int axis = 0; axis < 3; ++axis)
        for (std::int64_t f = 0; f < frame.grid; ++f) {
            const double index = frame.toIndex(axis, static_cast<double>(f));
            inside[static_cast<std::size_t>(axis)].push_back(
                index > -0.5 && index < static_cast<double>(size[static_cast<std::size_t>(axis)]) - 0.5);
        }
    std::size_t at = 0;
    for (std::size_t x = 0; x < inside[0].size(); ++x)
        for (std::size_t y = 0; y < inside[1].size(); ++y)
            for (std::size_t z = 0; z < inside[2].size(); ++z, ++at)
                result[at] = values[at] < 0 && inside[0][x] && inside[1][y] && inside[2][z] ? 1 : 0;
    return result;
}

std::vector<std::uint8_t> surfaceOf(const std::vector<std::uint8_t>& solid, std::int64_t grid) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({grid, grid, grid}, {1, 1, 1}));
    std::copy(solid.begin(), solid.end(), volume.data());
    std::vector<std::uint8_t> surface(solid.size(), 0);
    for (const VoxelIndex& voxel : shellVoxels(volume))
        surface[static_cast<std::size_t>((voxel[0] * grid + voxel[1]) * grid + voxel[2])] = 1;
    return surface;
}

std::vector<std::uint8_t> filledSurface(const std::vector<std::uint8_t>& surface, std::int64_t grid) {
    const EmptyParts parts = emptyParts(surface, grid);
    std::int64_t onFaces = 0, largest = 0;
    for (const std::int64_t count : parts.onFace) {
        onFaces += count;
        largest = std::max(largest, count);
    }
    std::vector<std::uint8_t> result(surface.size());
    for (std::size_t i = 0; i < surface.size(); ++i) {
        const std::int64_t count = parts.onFace[static_cast<std::size_t>(parts.part[i])];
        const bool outside =
            surface[i] == 0 && count > 0 &&
            (count == largest || static_cast<double>(count) >= kOutsideShare * static_cast<double>(onFaces));
        result[i] = outside ? 0 : 1;
    }
    return result;
}

Volume<float> placeFrame(const std::vector<float>& values, const OccupancyFrame& frame, const Affine& affine,
                         const Geometry& target) {
    const Affine toIndex = multiply(inverse(affine), target.affine());
    const Index3 size{frame.grid, frame.grid, frame.grid};
    const auto limit = static_cast<double>(frame.grid) - 0.5;
    Volume<float> result(target, 0.0F);
    parallelForEach(0, target.nz(), [&](std::int64_t z) {
        for (std::int64_t y = 0; y < target.ny(); ++y)
            for (std::int64_t x = 0; x < target.nx(); ++x) {
                const std::array<double, 4> voxel{static_cast<double>(x), static_cast<double>(y),
                                                  static_cast<double>(z), 1};
                std::array<double, 3> place{};
                bool inside = true;
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    double index = 0;
                    for (std::size_t i = 0; i < 4; ++i) index += toIndex[axis][i] * voxel[i];
                    place[axis] = frame.toFrame(static_cast<int>(axis), index);
                    inside = inside && place[axis] > -0.5 && place[axis] < limit;
                }
                if (!inside) continue;
                result(x, y, z) = interpolate(values.data(), size, between(place[0], frame.grid),
                                              between(place[1], frame.grid), between(place[2], frame.grid));
            }
    });
    return result;
}

}  // namespace medseg
