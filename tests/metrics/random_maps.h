// Random label maps for tests of properties.
#pragma once

#include <cstdint>

#include "medseg/base/random.h"
#include "medseg/volume/label_map.h"

namespace medseg::test {

/// Every voxel is 0 with probability `background`, else a label 1..labels.
template <typename T = std::uint8_t>
LabelMap noiseMap(const Index3& size, const Vec3& spacing, int labels, double background, std::uint64_t seed) {
    Volume<T> volume(Geometry::axisAligned(size, spacing));
    Random random(seed);
    for (T& voxel : volume.voxels())
        voxel = random.uniform() < background ? T{0} : static_cast<T>(1 + random.index(labels));
    return LabelMap(std::move(volume));
}

/// Ellipsoids, one a label, later ones on top.
template <typename T = std::uint8_t>
LabelMap blobMap(const Index3& size, const Vec3& spacing, int labels, std::uint64_t seed) {
    Volume<T> volume(Geometry::axisAligned(size, spacing), T{0});
    Random random(seed);
    for (int label = 1; label <= labels; ++label) {
        Vec3 center, radius;
        for (int axis = 0; axis < 3; ++axis) {
            center[axis] = random.uniform(0, static_cast<double>(size[axis]));
            radius[axis] = random.uniform(1, 1 + 0.3 * static_cast<double>(size[axis]));
        }
        for (std::int64_t z = 0; z < size[2]; ++z)
            for (std::int64_t y = 0; y < size[1]; ++y)
                for (std::int64_t x = 0; x < size[0]; ++x) {
                    const double dx = (static_cast<double>(x) - center[0]) / radius[0];
                    const double dy = (static_cast<double>(y) - center[1]) / radius[1];
                    const double dz = (static_cast<double>(z) - center[2]) / radius[2];
                    if (dx * dx + dy * dy + dz * dz <= 1) volume(x, y, z) = static_cast<T>(label);
                }
    }
    return LabelMap(std::move(volume));
}

}  // namespace medseg::test
